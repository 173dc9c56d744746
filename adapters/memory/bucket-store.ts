import { LRUCache } from 'lru-cache';
import type { BucketStore } from '../../api/tokens/ports.js';
import { EMPTY_BUCKET, pour, unpour, type BucketState } from '../../domain/leaky-bucket.js';

const TTL_MS = 6 * 3_600_000;
/** A bucket untouched for the TTL has long leaked out, so forgetting it changes no decision; the bound only caps memory. */
const MAX_BUCKETS = 200_000;

/** Buckets of this process alone: one token service is the whole system in the embedded form. */
export function createMemoryBucketStore(clock: () => number = Date.now): BucketStore {
  const buckets = new LRUCache<string, BucketState>({ max: MAX_BUCKETS, ttl: TTL_MS, ttlResolution: 60_000 });
  return {
    pour(key, rule, amount) {
      const decision = pour(rule, buckets.get(key) ?? EMPTY_BUCKET, amount, clock());
      buckets.set(key, decision.state);
      return Promise.resolve(decision);
    },
    unpour(key, rule, amount) {
      const state = buckets.get(key);
      if (state) buckets.set(key, unpour(rule, state, amount, clock()));
      return Promise.resolve();
    },
  };
}
