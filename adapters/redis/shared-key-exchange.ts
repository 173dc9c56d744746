import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { hashSecret } from '../../api/http/key-cache.js';
import type { ExchangedKey, KeyExchange } from '../../api/http/key-exchange.js';
import { issuedAtMs } from '../../api/identity/issued-at.js';
import type { KeyRevocations } from '../../api/http/key-revocations.js';
import type { Config } from '../../config.js';
import type { RedisClient } from './connection.js';

const CIPHER = 'aes-256-gcm';
const [KEY_BYTES, IV_BYTES, TAG_BYTES] = [32, 12, 16];
/** An answer is handed on for this part of its token's life, so that whoever takes it over has some use of it. */
const SHARED_PART = 0.8;

export interface SharedKeyExchangeDeps {
  /** Asks the auth service */
  exchange: KeyExchange;
  client: RedisClient;
  revocations: KeyRevocations;
  config: Pick<Config['auth'], 'keyCacheSeconds'>;
}

/**
 * What one process has learned of an API key serves the others: the answer of the auth service is kept in Redis under
 * `apikey:{hash}`, encrypted with a key made from the API key itself. Who reads Redis gets nothing; who writes it can make us
 * ask again, no more, as every token is verified.
 *
 * Redis is not trusted with revocations: while their news may not arrive, nothing is read from it or put there, and an ending that did
 * arrive is remembered by the caller (key-cache.ts) whatever is still found here. Without Redis the auth service is asked.
 */
export function createSharedKeyExchange({ exchange, client, revocations, config }: SharedKeyExchangeDeps) {
  const forget = (secretHash: string) => void client.del(nameOf(secretHash)).catch(() => undefined);
  const unsubscribe = revocations.subscribe({ ended: ({ secretHash }) => forget(secretHash), interrupted: () => undefined });
  /** Nobody knows which keys are a user's, so what Redis still has of an ended one is looked at when it is found. */
  const ownerEnded = ({ token }: ExchangedKey): boolean => {
    const claims = decodeJwt(token);
    return revocations.tokenEnded(claims.sub ?? '', issuedAtMs(claims));
  };
  const usable = () => revocations.live && client.status === 'ready';

  const shared = async (rawKey: string, name: string): Promise<ExchangedKey | null> => {
    const sealed = await client.getBuffer(name).catch(() => null);
    return sealed && open(rawKey, sealed);
  };
  const share = async (rawKey: string, name: string, answer: ExchangedKey): Promise<void> => {
    const leftMs = (decodeJwt(answer.token).exp ?? 0) * 1_000 - Date.now();
    const ms = Math.floor(Math.min(config.keyCacheSeconds * 1_000, leftMs * SHARED_PART));
    if (ms > 0) await client.set(name, seal(rawKey, answer), 'PX', ms).catch(() => undefined);
  };
  const ask: KeyExchange = async (rawKey) => {
    const name = nameOf(hashSecret(rawKey));
    const known = usable() ? await shared(rawKey, name) : null;
    if (known && !ownerEnded(known)) return known;
    const answer = await exchange(rawKey);
    if (answer && usable()) await share(rawKey, name, answer);
    return answer;
  };
  return { exchange: ask, close: unsubscribe };
}

const nameOf = (secretHash: string) => `apikey:{${secretHash}}`;

const keyFrom = (rawKey: string) => Buffer.from(hkdfSync('sha256', rawKey, '', 'leaky-tokens key cache', KEY_BYTES));

function seal(rawKey: string, answer: ExchangedKey): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, keyFrom(rawKey), iv);
  const text = Buffer.concat([cipher.update(JSON.stringify(answer)), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), text]);
}

/** null: it is not what we put there */
function open(rawKey: string, sealed: Buffer): ExchangedKey | null {
  try {
    const decipher = createDecipheriv(CIPHER, keyFrom(rawKey), sealed.subarray(0, IV_BYTES));
    decipher.setAuthTag(sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    const text = Buffer.concat([decipher.update(sealed.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
    return JSON.parse(text.toString()) as ExchangedKey;
  } catch {
    return null;
  }
}
