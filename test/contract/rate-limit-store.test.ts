import { createMemoryRateLimitStore } from '../../adapters/memory/rate-limit-store.js';
import { createRedisRateLimitStore } from '../../adapters/redis/rate-limit-store.js';
import type { RateLimitStore } from '../../api/gateway/ports.js';
import { withRedis } from '../redis/support.js';
import { rateLimitStoreContract } from './rate-limit-store.js';

describe('RateLimitStore in memory', () => {
  const store = createMemoryRateLimitStore();
  rateLimitStoreContract(() => store);
});

describe('RateLimitStore in Redis', () => {
  const redis = withRedis();
  let store: RateLimitStore;
  before(() => (store = createRedisRateLimitStore(redis())));
  rateLimitStoreContract(() => store);
});
