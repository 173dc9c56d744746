import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createMemoryBucketStore } from '../../adapters/memory/bucket-store.js';
import { createMemoryRateLimitStore } from '../../adapters/memory/rate-limit-store.js';
import { createRedisBucketStore } from '../../adapters/redis/bucket-store.js';
import type { RedisClient } from '../../adapters/redis/connection.js';
import { bucketsDespite, windowsDespite } from '../../adapters/redis/despite-outage.js';
import { RedisOutage } from '../../adapters/redis/outage.js';
import { createRedisRateLimitStore } from '../../adapters/redis/rate-limit-store.js';
import { Problem } from '../../contracts/errors.js';
import type { BucketRule } from '../../domain/leaky-bucket.js';
import { asUser, startTestGateway } from '../gateway/support.js';
import { eventually } from '../support/eventually.js';
import { startOwnRedis, type OwnRedis } from '../support/redis-server.js';
import { connectTo, log } from './support.js';

/** What a caller may wait at the worst, on a busy machine: four times the time-out of a command. */
const SOON_MS = 2_000;
const RULE: BucketRule = { strategy: 'LEAKY_BUCKET', capacity: 1_000, leakPerSecond: 1e-6, windowMs: 60_000 };
const freshKey = () => `bucket:{${randomUUID()}}:openai`;

describe('when Redis is gone', function () {
  this.timeout(30_000);
  let server: OwnRedis;
  let client: RedisClient;
  const storesOf = (policy: 'local' | 'refuse') => {
    const outage = new RedisOutage(client, policy, log);
    return {
      buckets: bucketsDespite(outage, createRedisBucketStore(client), createMemoryBucketStore()),
      windows: windowsDespite(outage, createRedisRateLimitStore(client), createMemoryRateLimitStore()),
    };
  };
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    const began = performance.now();
    try {
      return await work;
    } finally {
      const took = performance.now() - began;
      assert.ok(took < SOON_MS, `it took ${took.toFixed(0)} ms`);
    }
  };
  const limitsUnavailable = (error: unknown) =>
    error instanceof Problem && error.code === 'LIMITS_UNAVAILABLE' && error.extras.retryAfterSeconds === 1;

  const ways = [
    { name: 'killed and started again', lose: () => server.signal('SIGKILL'), restore: () => server.start() },
    { name: 'hanging and then going on', lose: () => server.signal('SIGSTOP'), restore: async () => server.signal('SIGCONT') },
  ];

  before('a Redis to break', async () => {
    server = await startOwnRedis();
  });
  beforeEach(async () => {
    client = await connectTo(server.url);
  });
  afterEach(() => client.disconnect());

  for (const { name, lose, restore } of ways) {
    it(`${name}: "local" decides in the process, "refuse" answers 503; both are Redis's again by themselves`, async () => {
      const local = storesOf('local');
      const strict = storesOf('refuse');
      const key = freshKey();
      assert.equal((await local.buckets.pour(key, RULE, 600)).used, 600);
      lose();
      try {
        // All at once and then one after the other: nothing waits for long, nothing queues up.
        const burst = Array.from({ length: 200 }, () => inTime(local.buckets.pour(freshKey(), RULE, 1)));
        for (const decision of await Promise.all(burst)) assert.equal(decision.allowed, true);
        assert.equal((await inTime(local.buckets.pour(key, RULE, 600))).used, 600, 'the local bucket starts empty');
        assert.equal((await inTime(local.buckets.pour(key, RULE, 600))).allowed, false, 'and is a bucket');
        assert.equal((await inTime(local.windows.hit('a', { limit: 1, windowMs: 60_000 }))).allowed, true);
        assert.equal((await inTime(local.windows.hit('a', { limit: 1, windowMs: 60_000 }))).allowed, false);
        await assert.rejects(inTime(strict.buckets.pour(key, RULE, 1)), limitsUnavailable);
        await assert.rejects(inTime(strict.windows.hit('a', { limit: 1, windowMs: 60_000 })), limitsUnavailable);
        await inTime(strict.buckets.unpour(key, RULE, 1));
      } finally {
        await restore();
      }
      const after = freshKey();
      await eventually('"refuse" admits again', () =>
        strict.buckets.pour(after, RULE, 1).then(
          () => true,
          () => false,
        ),
      );
      await local.buckets.pour(after, RULE, 1);
      // More is possible: what timed out may have been done.
      assert.ok(Math.round(Number(await client.hget(after, 'level'))) >= 2, 'both poured into the one bucket in Redis');
    });
  }

  it('a start waits no longer for it than a moment, and takes it when it comes', async () => {
    server.signal('SIGKILL');
    const late = await connectTo(server.url);
    try {
      await assert.rejects(late.ping());
      await server.start();
      await eventually('the connection is made', () => late.status === 'ready');
      assert.equal(await late.ping(), 'PONG');
    } finally {
      late.disconnect();
    }
  });

  it('the gateway serves by local windows, or answers 503 with Retry-After, as configured', async () => {
    const policies = { local: 200, refuse: 503 };
    for (const [policy, status] of Object.entries(policies) as ['local' | 'refuse', number][]) {
      const gateway = await startTestGateway({ limits: storesOf(policy).windows });
      const call = () => fetch(`${gateway.url}/api/v1/tokens/quota`, { headers: asUser() });
      try {
        await eventually('Redis counts', async () => (await call()).status === 200);
        server.signal('SIGKILL');
        const answer = await inTime(call());
        assert.equal(answer.status, status);
        if (status === 503) {
          assert.equal(answer.headers.get('retry-after'), '1');
          assert.equal(((await answer.json()) as { code: string }).code, 'LIMITS_UNAVAILABLE');
        }
        await server.start();
        await eventually('and counts again', async () => (await call()).status === 200);
      } finally {
        await gateway.close();
      }
    }
  });
});
