import { randomUUID } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, exportJWK, generateKeyPair, importJWK, type CryptoKey, type JWK } from 'jose';
import type { Config } from '../../config.js';
import { SYSTEM, type Actor } from '../../domain/accounts/actor.js';
import type { Logger } from '../../telemetry/log.js';
import type { SigningKeyRecord, SigningKeys } from './ports.js';

/** The signing keys as this process sees them; never older than REFRESH_MS when used. */
export interface Keyring {
  active(): Promise<{ kid: string; privateKey: CryptoKey }>;
  /** Public parts of the active key and of every retired one whose last token may still live; the same array until read again. */
  publicJwks(maxAgeMs?: number): Promise<JWK[]>;
  /** Creates the first key, or replaces one older than the configured age. */
  rotateIfDue(): Promise<void>;
  /** Replaces the active key now; returns the new kid. */
  rotate(by: Actor): Promise<string>;
}

/** The JWKS tells of another process's rotation after at most so long. */
const PUBLIC_REFRESH_MS = 1_000;
/** For so long another process may go on signing with a key that was just retired. */
const REFRESH_MS = 10_000;
/** A store that can't be read is forgiven for so long. Together with REFRESH_MS it must stay below SLACK_SECONDS. */
const STALE_MS = 60_000;
/** How much longer than a token's life a retired key stays public. */
const SLACK_SECONDS = 300;

interface Loaded {
  at: number;
  kid: string;
  privateKey: CryptoKey;
  publicJwks: JWK[];
}

export function createKeyring(store: SigningKeys, config: Config['auth'], log: Logger): Keyring {
  const publicForSeconds = Math.max(config.tokenTtlSeconds, config.internalTokenTtlSeconds) + SLACK_SECONDS;
  const vault = createVault(config.masterKey);
  let loaded: Loaded | null = null;
  let loading: Promise<Loaded> | null = null;

  const load = async (): Promise<Loaded> => {
    const { active, publicJwks } = await store.load(publicForSeconds);
    if (!active) throw new Error('There is no active signing key');
    const privateKey = loaded?.kid === active.kid ? loaded.privateKey : await open(active);
    return (loaded = { at: Date.now(), kid: active.kid, privateKey, publicJwks });
  };
  const reload = (): Promise<Loaded> => (loading ??= load().finally(() => (loading = null)));

  const open = async (record: SigningKeyRecord): Promise<CryptoKey> => {
    const jwk = await vault.open(record);
    if (config.masterKey && !isSealed(record.privateJwk)) await store.replacePrivate(record.kid, await vault.seal(jwk));
    return (await importJWK(jwk, 'RS256')) as CryptoKey;
  };

  const current = async (maxAgeMs: number): Promise<Loaded> => {
    const age = loaded ? Date.now() - loaded.at : Infinity;
    if (loaded && age < maxAgeMs) return loaded;
    try {
      return await reload();
    } catch (error) {
      if (!loaded || age > STALE_MS) throw error;
      log.warn({ err: error }, 'signing keys could not be read again; going on with those in memory');
      return loaded;
    }
  };

  const make = async () => {
    const pair = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true });
    const kid = randomUUID();
    const publicJwk: JWK = { ...(await exportJWK(pair.publicKey)), kid, alg: 'RS256', use: 'sig' };
    return { kid, publicJwk, privateJwk: await vault.seal(await exportJWK(pair.privateKey)) };
  };

  return {
    active: () => current(REFRESH_MS),
    publicJwks: async (maxAgeMs = PUBLIC_REFRESH_MS) => (await current(maxAgeMs)).publicJwks,
    async rotateIfDue() {
      const olderThan = new Date(Date.now() - config.signingKeyRotationDays * 86_400_000);
      if (await store.rotate(make, SYSTEM, olderThan)) log.info('a new signing key is active');
      await store.purge(publicForSeconds);
      await reload();
    },
    async rotate(by) {
      await store.rotate(make, by);
      // A load that began before the rotation may end after it: only a load of our own is sure to see the new key.
      await loading?.catch(() => undefined);
      return (await reload()).kid;
    },
  };
}

const isSealed = (stored: string): boolean => !stored.startsWith('{');

/** Private keys at rest: a compact JWE under the master key (dir, A256GCM), or plain JSON when there is none. */
function createVault(masterKeyHex: string | undefined) {
  const masterKey = masterKeyHex === undefined ? null : Buffer.from(masterKeyHex, 'hex');
  return {
    async seal(jwk: JWK): Promise<string> {
      const text = JSON.stringify(jwk);
      if (!masterKey) return text;
      return new CompactEncrypt(Buffer.from(text)).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(masterKey);
    },
    async open({ kid, privateJwk }: SigningKeyRecord): Promise<JWK> {
      if (!isSealed(privateJwk)) return JSON.parse(privateJwk) as JWK;
      if (!masterKey) throw new Error(`Signing key ${kid} is encrypted: set LEAKY_MASTER_KEY to the key it was encrypted with`);
      try {
        const { plaintext } = await compactDecrypt(privateJwk, masterKey, {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        return JSON.parse(Buffer.from(plaintext).toString()) as JWK;
      } catch (error) {
        throw new Error(`Signing key ${kid} can't be decrypted: LEAKY_MASTER_KEY is not the key it was encrypted with`, { cause: error });
      }
    },
  };
}
