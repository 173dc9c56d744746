import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { EMPTY_BUCKET, pour, STRATEGIES, type BucketRule } from '../../domain/leaky-bucket.js';
import { startTestRedis } from '../support/redis.js';
import type { Poured, Pouring } from './pourer.js';

const REQUESTS = 10_000;
const AMOUNT = 3;

/**
 * The server's decisions in its order. At one time of its clock, admissions raise the level one after the other, and a refusal
 * sees the level that was reached; all amounts are the same, so which of two equals came first makes no difference.
 */
const inOrder = (one: Poured, other: Poured): number =>
  one.at - other.at || one.level - other.level || Number(other.allowed) - Number(one.allowed);

describe('a bucket that two processes share', function () {
  this.timeout(120_000);

  const pourFromTwo = async (rule: BucketRule): Promise<Poured[]> => {
    const url = await startTestRedis();
    const key = `bucket:{${randomUUID()}}:openai`;
    const work: Pouring = { url, key, rule, amount: AMOUNT, requests: REQUESTS / 2, inFlight: 64 };
    const halves = await Promise.all(
      [1, 2].map(async () => {
        const child = fork(new URL('./pourer.js', import.meta.url));
        child.send(work);
        const ended = once(child, 'exit').then(([code]) => assert.fail(`a process ended with ${code} before it told`));
        const [poured] = (await Promise.race([once(child, 'message'), ended])) as [Poured[]];
        ended.catch(() => undefined);
        return poured;
      }),
    );
    for (const half of halves) assert.equal(half.length, REQUESTS / 2);
    return halves.flat();
  };

  for (const strategy of STRATEGIES) {
    it(`${strategy}: ${REQUESTS} requests of two processes at once are decided as one process alone would, one by one`, async () => {
      const rule: BucketRule = { strategy, capacity: 1_000, leakPerSecond: 400, windowMs: 3_155_760_000_000 };
      const poured = (await pourFromTwo(rule)).sort(inOrder);
      let state = EMPTY_BUCKET;
      for (const { allowed, at, level } of poured) {
        const alone = pour(rule, state, AMOUNT, at);
        assert.deepEqual({ allowed, at, level }, { allowed: alone.allowed, ...alone.state });
        state = alone.state;
      }
      const admitted = poured.filter((one) => one.allowed).length;
      if (strategy === 'FIXED_WINDOW') assert.equal(admitted, Math.floor(rule.capacity / AMOUNT));
      else assert.ok(admitted >= Math.floor(rule.capacity / AMOUNT) && admitted < REQUESTS);
    });
  }
});
