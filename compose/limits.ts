import { createMemoryBucketStore } from '../adapters/memory/bucket-store.js';
import { createMemoryLoginPoints } from '../adapters/memory/login-points.js';
import { createMemoryRateLimitStore } from '../adapters/memory/rate-limit-store.js';
import { createRedisBucketStore } from '../adapters/redis/bucket-store.js';
import type { RedisClient } from '../adapters/redis/connection.js';
import { bucketsDespite, loginPointsDespite, windowsDespite } from '../adapters/redis/despite-outage.js';
import { createRedisLoginPoints } from '../adapters/redis/login-points.js';
import { RedisOutage } from '../adapters/redis/outage.js';
import { createRedisRateLimitStore } from '../adapters/redis/rate-limit-store.js';
import type { LoginPoints } from '../api/auth/login-throttle.js';
import type { RateLimitStore } from '../api/gateway/ports.js';
import type { BucketStore } from '../api/tokens/ports.js';
import type { Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';

/** Where limits are decided on: in Redis for all processes together, or in this one. */
export interface Limits {
  buckets(): BucketStore;
  windows(): RateLimitStore;
  loginPoints(): LoginPoints;
  /** Without limits a service that has to refuse is not ready; one that decides by itself is. */
  readiness: Record<string, () => Promise<unknown>>;
}

export function createLimits(redis: RedisClient | null, config: Config, log: Logger): Limits {
  const local = {
    buckets: () => createMemoryBucketStore(),
    windows: () => createMemoryRateLimitStore(),
    loginPoints: () => createMemoryLoginPoints(config.auth),
    readiness: {},
  };
  if (!redis) return local;
  const outage = new RedisOutage(redis, config.redis.outage, log);
  return {
    buckets: () => bucketsDespite(outage, createRedisBucketStore(redis), local.buckets()),
    windows: () => windowsDespite(outage, createRedisRateLimitStore(redis), local.windows()),
    loginPoints: () => loginPointsDespite(outage, createRedisLoginPoints(redis, config.auth), local.loginPoints()),
    readiness: config.redis.outage === 'refuse' ? { redis: () => redis.ping() } : {},
  };
}
