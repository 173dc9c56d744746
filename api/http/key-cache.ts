import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { parseApiKey } from '../../domain/api-key.js';
import type { Caller } from './caller.js';
import type { KeyExchange } from './key-exchange.js';
import type { KeyEnding, KeyRevocations } from './key-revocations.js';
import type { TokenVerifier } from './token-verifier.js';

export interface KeyIdentity {
  caller: Caller;
  internalJwt: string;
  /** Of its secret */
  keyHash: string;
  /** When its internal token was made, milliseconds since the epoch */
  issuedAt: number;
}

export interface KeyCache {
  /** @throws Problem UNAUTHENTICATED for a bad key, SERVICE_UNAVAILABLE when that can't be found out */
  identify(rawKey: string): Promise<KeyIdentity>;
  /** Whether the secret with this hash was revoked or rotated out. */
  hasEnded(secretHash: string): boolean;
  close(): void;
}

/** SHA-256, lower-case hex: how secrets are stored, cached and announced. */
export const hashSecret = (rawKey: string): string => hash('sha256', rawKey);

interface Entry extends KeyIdentity {
  learnedAt: number;
  usableUntil: number;
}

/** A refused key is asked about again after so long. */
const REFUSED_MS = 3_000;
/** How long an answer is believed while revocations may not arrive. */
const BLIND_MS = 900;
const MAX_ENDINGS = 50_000;

/**
 * What API keys are worth, remembered by the hash of the secret. Callers with the same unknown key share one question. An entry
 * ends with the first of: the configured cache time, its internal token (a little earlier, as it is sent on), its secret.
 */
export function createKeyCache(
  exchange: KeyExchange,
  verifier: TokenVerifier,
  revocations: KeyRevocations,
  config: Config['auth'],
): KeyCache {
  const entries = new LRUCache<string, Entry>({ max: config.keyCacheEntries });
  const refused = new LRUCache<string, true>({ max: config.keyCacheEntries, ttl: REFUSED_MS });
  const endings = new LRUCache<string, number>({ max: MAX_ENDINGS });
  const asking = new Map<string, Promise<Entry | null>>();

  const unsubscribe = revocations.subscribe({
    ended({ secretHash, validUntil }: KeyEnding) {
      // Kept as long as a token made from the secret may live; the cached entry goes, to be learned again with its new end.
      const ttl = Math.max(0, validUntil - Date.now()) + (config.internalTokenTtlSeconds + 60) * 1_000;
      endings.set(secretHash, Math.min(validUntil, endings.get(secretHash) ?? Infinity), { ttl });
      entries.delete(secretHash);
    },
    interrupted: () => entries.clear(),
  });

  const hasEnded = (secretHash: string): boolean => (endings.get(secretHash) ?? Infinity) <= Date.now();

  /** Whether its owner's account has ended, or lost something, since its token was made. */
  const ownerEnded = ({ caller, issuedAt }: Entry): boolean => revocations.tokenEnded(caller.userId, issuedAt);

  const isUsable = (entry: Entry, secretHash: string, now: number): boolean =>
    entry.usableUntil > now && (revocations.live || entry.learnedAt + BLIND_MS > now) && !hasEnded(secretHash) && !ownerEnded(entry);

  const ask = async (rawKey: string, secretHash: string): Promise<Entry | null> => {
    const learnedAt = Date.now();
    const answer = await exchange(rawKey);
    if (!answer) {
      refused.set(secretHash, true);
      return null;
    }
    const { caller, issuedAt, expiresAt } = await verifier.verify(answer.token);
    const left = expiresAt - learnedAt;
    const usableUntil = Math.min(
      learnedAt + config.keyCacheSeconds * 1_000,
      expiresAt - Math.min(10_000, left / 10),
      answer.validUntil ?? Infinity,
    );
    const entry = { caller, internalJwt: answer.token, keyHash: secretHash, issuedAt, learnedAt, usableUntil };
    // The answer may be older than an ending that arrived meanwhile; `isUsable` and the caller look at the endings last.
    entries.set(secretHash, entry);
    return entry;
  };

  return {
    hasEnded,
    async identify(rawKey) {
      if (!parseApiKey(rawKey)) throw refusal('The API key is not well-formed; was it cut off or mistyped?');
      const secretHash = hashSecret(rawKey);
      const known = entries.get(secretHash);
      if (known && isUsable(known, secretHash, Date.now())) return known;
      if (refused.has(secretHash) || hasEnded(secretHash)) throw refusal(INVALID);
      let question = asking.get(secretHash);
      if (!question) {
        question = ask(rawKey, secretHash).finally(() => asking.delete(secretHash));
        asking.set(secretHash, question);
      }
      const entry = await question;
      if (!entry || hasEnded(secretHash) || ownerEnded(entry)) throw refusal(INVALID);
      return entry;
    },
    close: unsubscribe,
  };
}

const INVALID = 'The API key is unknown, expired or revoked';
const refusal = (detail: string) => new Problem('UNAUTHENTICATED', detail);
