import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { BucketStore } from '../../api/tokens/ports.js';
import { STRATEGIES, type BucketRule } from '../../domain/leaky-bucket.js';
import { eventually } from '../support/eventually.js';

const CENTURY_MS = 3_155_760_000_000;

/** Nothing leaks and no window ends while a test runs. */
const still = (over: Partial<BucketRule> = {}): BucketRule => ({
  strategy: 'LEAKY_BUCKET',
  capacity: 1_000,
  leakPerSecond: 1e-6,
  windowMs: CENTURY_MS,
  ...over,
});

/** What every bucket store does. To be called in a `describe`. */
export function bucketStoreContract(storeOf: () => BucketStore): void {
  const freshKey = () => `bucket:{${randomUUID()}}:openai`;

  for (const strategy of STRATEGIES) {
    describe(strategy, () => {
      const rule = still({ strategy });

      it('admits its capacity and not a token more', async () => {
        const key = freshKey();
        const first = await storeOf().pour(key, rule, 400);
        assert.deepEqual([first.allowed, first.used, first.remaining, first.waitSeconds], [true, 400, 600, 0]);
        const refused = await storeOf().pour(key, rule, 601);
        assert.deepEqual([refused.allowed, refused.used, refused.remaining], [false, 400, 600]);
        assert.ok((refused.waitSeconds ?? 0) >= 1);
        const last = await storeOf().pour(key, rule, 600);
        assert.deepEqual([last.allowed, last.used, last.remaining], [true, 1_000, 0]);
      });

      it('takes back what was poured, and no more than that', async () => {
        const key = freshKey();
        await storeOf().pour(key, rule, 900);
        await storeOf().unpour(key, rule, 300);
        assert.equal((await storeOf().pour(key, rule, 0)).used, 600);
        await storeOf().unpour(key, rule, 5_000);
        assert.equal((await storeOf().pour(key, rule, 0)).used, 0);
      });

      it('decides one at a time, however many ask at once', async () => {
        const key = freshKey();
        const decisions = await Promise.all(Array.from({ length: 300 }, () => storeOf().pour(key, rule, 7)));
        assert.equal(decisions.filter((decision) => decision.allowed).length, Math.floor(1_000 / 7));
        const levels = decisions.filter((decision) => decision.allowed).map((decision) => decision.used);
        assert.equal(new Set(levels).size, levels.length, 'no two saw the same bucket');
      });
    });
  }

  it('says that no wait helps when the amount exceeds the whole bucket', async () => {
    assert.equal((await storeOf().pour(freshKey(), still(), 1_001)).waitSeconds, null);
  });

  it('keeps keys apart; one that holds nothing has nothing to take back', async () => {
    const [one, other] = [freshKey(), freshKey()];
    await storeOf().pour(one, still(), 1_000);
    await storeOf().unpour(other, still(), 10);
    const decision = await storeOf().pour(other, still(), 10);
    assert.deepEqual([decision.allowed, decision.used], [true, 10]);
  });

  it('leaks with time', async () => {
    const key = freshKey();
    const leaky = still({ capacity: 100, leakPerSecond: 500 });
    await storeOf().pour(key, leaky, 100);
    await eventually('half of it has leaked', async () => (await storeOf().pour(key, leaky, 50)).allowed, 2_000);
  });

  it('follows a rule that changes: what is in the bucket stays', async () => {
    const key = freshKey();
    await storeOf().pour(key, still(), 900);
    assert.equal((await storeOf().pour(key, still({ capacity: 2_000 }), 1_000)).used, 1_900);
  });
}
