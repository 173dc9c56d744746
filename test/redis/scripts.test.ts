import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { bucketArguments, bucketScripts, decisionFrom as bucketDecision, TTL_SECONDS } from '../../adapters/redis/bucket-script.js';
import { decisionFrom as windowDecision, windowArguments, windowScript } from '../../adapters/redis/window-script.js';
import { EMPTY_BUCKET, pour, STRATEGIES, unpour, type BucketRule } from '../../domain/leaky-bucket.js';
import { SlidingWindow } from '../../domain/sliding-window.js';
import { withRedis } from './support.js';

const T0 = 1_700_000_040_000;
/** Each run asks the server some dozen times. */
const RUNS = { numRuns: 200 };

/** Each rule exists twice, in TypeScript and for the server. One property drives both, on times that the test chooses. */
describe('the scripts of Redis decide as the domain does', function () {
  this.timeout(60_000);
  const redis = withRedis();
  const testClock = (argument: number) => `local now = tonumber(ARGV[${argument}])\n`;

  const rules: fc.Arbitrary<BucketRule> = fc.record({
    strategy: fc.constantFrom(...STRATEGIES),
    capacity: fc.integer({ min: 1, max: 5_000 }),
    leakPerSecond: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.double({ min: 0.001, max: 200, noNaN: true })),
    windowMs: fc.constant(60_000),
  });
  const steps = fc.array(
    fc.record({
      verb: fc.constantFrom('pour' as const, 'pour' as const, 'unpour' as const),
      // A clock that steps back, too
      afterMs: fc.integer({ min: -2_000, max: 20_000 }),
      amount: fc.integer({ min: 0, max: 3_000 }),
    }),
    { minLength: 1, maxLength: 30 },
  );

  it('the bucket, in all strategies, to the last bit', async () => {
    const scripts = bucketScripts(testClock(7));
    await fc.assert(
      fc.asyncProperty(rules, steps, async (rule, sequence) => {
        const key = `bucket:{${randomUUID()}}:openai`;
        let state = EMPTY_BUCKET;
        let touched = false;
        let now = T0;
        for (const { verb, afterMs, amount } of sequence) {
          now += afterMs;
          const reply = await redis().eval(scripts[verb], 1, key, ...bucketArguments(rule, amount), now);
          if (verb === 'unpour') {
            if (touched) state = unpour(rule, state, amount, now);
            continue;
          }
          const expected = pour(rule, state, amount, now);
          assert.deepEqual(bucketDecision(rule, amount, reply), expected);
          state = expected.state;
          touched = true;
        }
      }),
      RUNS,
    );
  });

  it('the sliding window', async () => {
    const script = windowScript(testClock(4));
    // Windows so long that none expires in the real time of the server meanwhile
    const moments = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 12_000 }), count: fc.boolean() }), {
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 20_000, max: 90_000 }),
        moments,
        async (limit, windowMs, sequence) => {
          const key = `window:${randomUUID()}`;
          const policy = { limit, windowMs };
          const window = new SlidingWindow(policy);
          let now = T0;
          for (const { afterMs, count } of sequence) {
            now += afterMs;
            const reply = await redis().eval(script, 1, key, ...windowArguments(policy, count), now);
            assert.deepEqual(windowDecision(policy, reply), count ? window.hit(now) : window.peek(now));
          }
        },
      ),
      RUNS,
    );
  });

  it('in production they take the time from the server alone and forget what is not touched for long', async () => {
    const { createRedisBucketStore } = await import('../../adapters/redis/bucket-store.js');
    const { createRedisRateLimitStore } = await import('../../adapters/redis/rate-limit-store.js');
    for (const script of [...Object.values(bucketScripts()), windowScript()]) {
      assert.match(script, /redis\.call\('TIME'\)/);
      assert.equal(script.match(/\bnow = /g)?.length, script.includes('latest > now') ? 2 : 1, 'nothing else sets the time');
    }
    const rule: BucketRule = { strategy: 'LEAKY_BUCKET', capacity: 10, leakPerSecond: 1, windowMs: 60_000 };
    const bucket = `bucket:{${randomUUID()}}:openai`;
    await createRedisBucketStore(redis()).pour(bucket, rule, 1);
    assert.ok(Math.abs((await redis().ttl(bucket)) - TTL_SECONDS) <= 1);
    const window = randomUUID();
    await createRedisRateLimitStore(redis()).hit(window, { limit: 1, windowMs: 30_000 });
    assert.ok(Math.abs((await redis().pttl(`window:${window}`)) - 30_000) < 1_000);
  });
});
