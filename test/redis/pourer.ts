import { createRedisBucketStore } from '../../adapters/redis/bucket-store.js';
import { connectRedis } from '../../adapters/redis/connection.js';
import { loadConfig } from '../../config.js';
import type { BucketRule } from '../../domain/leaky-bucket.js';
import { createLogger } from '../../telemetry/log.js';

/** One of two processes that pour into one bucket (shared-bucket.test.ts): told what to do by its first message, answers with the second. */
export interface Pouring {
  url: string;
  key: string;
  rule: BucketRule;
  amount: number;
  requests: number;
  inFlight: number;
}

/** As the server decided: its time, the level afterwards */
export interface Poured {
  allowed: boolean;
  at: number;
  level: number;
}

process.once('message', (work) => void pour(work as Pouring));

async function pour({ url, key, rule, amount, requests, inFlight }: Pouring): Promise<void> {
  const client = await connectRedis(loadConfig({ LEAKY_REDIS_URL: url, LEAKY_REDIS_TIMEOUT_MS: '30000' }).redis, createLogger('silent'));
  const store = createRedisBucketStore(client);
  const poured: Poured[] = [];
  let left = requests;
  const lane = async () => {
    while (left-- > 0) {
      const { allowed, state } = await store.pour(key, rule, amount);
      poured.push({ allowed, ...state });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  client.disconnect();
  process.send?.(poured, () => process.disconnect());
}
