import { LRUCache } from 'lru-cache';
import type { RateLimitStore } from '../../api/gateway/ports.js';
import { SlidingWindow, type WindowPolicy } from '../../domain/sliding-window.js';

/**
 * Bounds memory: 50,000 keys at 120 requests are 48 MB at the very worst, when every key has used its whole limit.
 * The least recently seen key is forgotten first, and with it what it had used.
 */
const MAX_KEYS = 50_000;

/** Windows of this process; each gateway counts for itself. A key's window is forgotten once nothing in it can count any more. */
export function createMemoryRateLimitStore(now: () => number = Date.now, maxKeys = MAX_KEYS): RateLimitStore {
  const windows = new LRUCache<string, SlidingWindow>({ max: maxKeys });

  function windowOf(key: string, policy: WindowPolicy): SlidingWindow {
    const known = windows.get(key);
    if (known && known.policy.limit === policy.limit && known.policy.windowMs === policy.windowMs) return known;
    const fresh = new SlidingWindow(policy);
    windows.set(key, fresh);
    return fresh;
  }

  return {
    hit: async (key, policy) => windowOf(key, policy).hit(now()),
    // A key that was never counted needs no window: peeking must not push others out.
    peek: async (key, policy) => (windows.get(key) ?? new SlidingWindow(policy)).peek(now()),
  };
}
