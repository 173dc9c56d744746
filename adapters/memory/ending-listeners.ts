import { LRUCache } from 'lru-cache';
import type { KeyEnding, KeyRevocationListener } from '../../api/http/key-revocations.js';

export interface EndingListeners {
  ended(ending: KeyEnding): void;
  interrupted(): void;
  subscribe(listener: KeyRevocationListener): () => void;
}

const MAX_ENDINGS = 50_000;
const KEPT_MS = 86_400_000;

/** Who listens in this process. The endings so far are repeated to whoever comes later: services start one after another. */
export function createEndingListeners(): EndingListeners {
  const listeners = new Set<KeyRevocationListener>();
  const known = new LRUCache<string, KeyEnding>({ max: MAX_ENDINGS, ttl: KEPT_MS });
  return {
    ended(ending) {
      known.set(ending.secretHash, ending);
      listeners.forEach((listener) => listener.ended(ending));
    },
    interrupted: () => listeners.forEach((listener) => listener.interrupted()),
    subscribe(listener) {
      listeners.add(listener);
      for (const ending of known.values()) listener.ended(ending);
      return () => listeners.delete(listener);
    },
  };
}
