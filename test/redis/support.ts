import assert from 'node:assert/strict';
import { connectRedis, type RedisClient } from '../../adapters/redis/connection.js';
import { loadConfig } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { startTestRedis } from '../support/redis.js';

export const log = createLogger(process.env.LEAKY_LOG_LEVEL ?? 'silent');

/** For tests of decisions, on a machine that may be busy; what a time-out does is tested in outage.test.ts. */
export const PATIENT = { LEAKY_REDIS_TIMEOUT_MS: '20000' };

/** A client as the services have it. Whoever opens it disconnects it. */
export const connectTo = (url: string, more: Record<string, string> = {}): Promise<RedisClient> =>
  connectRedis(loadConfig({ LEAKY_REDIS_URL: url, ...more }).redis, log);

/** A connection to the Redis of the mocha run for the enclosing `describe`. */
export function withRedis(): () => RedisClient {
  let client: RedisClient | undefined;
  before('Redis', async function () {
    this.timeout(300_000);
    client = await connectTo(await startTestRedis(), PATIENT);
  });
  after(() => client?.disconnect());
  return () => {
    assert.ok(client, 'the connection exists only while tests run');
    return client;
  };
}
