import { parseApiKey } from '../../domain/api-key.js';
import type { Logger } from '../../telemetry/log.js';
import { rolesOfKey } from '../http/caller.js';
import { hashSecret } from '../http/key-cache.js';
import type { KeyExchange } from '../http/key-exchange.js';
import type { ApiKeys, KeyHolder } from './ports.js';
import type { TokenIssuer } from './tokens.js';

export interface KeyProof {
  /** Who holds this key, or null when it is no valid key. */
  holderOf(rawKey: string): Promise<KeyHolder | null>;
  exchange: KeyExchange;
  /** Writes down the uses noted so far and stops. */
  close(): Promise<void>;
}

/**
 * "Last used" is written in the background, all keys in one statement: it must not cost the request a write. Services cache
 * keys, so it is exact to config.auth.keyCacheSeconds.
 */
const NOTE_USES_MS = 5_000;

export function createKeyProof(apiKeys: ApiKeys, issuer: TokenIssuer, log: Logger): KeyProof {
  let uses = new Map<string, Date>();
  const writeUses = async (): Promise<void> => {
    if (uses.size === 0) return;
    const written = uses;
    uses = new Map();
    try {
      await apiKeys.markUsed(written);
    } catch (error) {
      log.warn({ err: error }, 'the last use of some API keys could not be written down');
    }
  };
  const timer = setInterval(() => void writeUses(), NOTE_USES_MS);
  timer.unref();

  const holderOf = async (rawKey: string): Promise<KeyHolder | null> => {
    if (!parseApiKey(rawKey)) return null;
    const holder = await apiKeys.holder(hashSecret(rawKey));
    if (!holder) return null;
    uses.set(holder.key.id, new Date());
    return { ...holder, roles: rolesOfKey(holder.roles) };
  };
  return {
    holderOf,
    async exchange(rawKey) {
      const holder = await holderOf(rawKey);
      if (!holder) return null;
      const { token } = await issuer.forKey(holder, hashSecret(rawKey));
      return { token, validUntil: holder.validUntil?.getTime() ?? null };
    },
    async close() {
      clearInterval(timer);
      await writeUses();
    },
  };
}
