import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EMPTY_BUCKET, leaked, pour, unpour, type BucketRule, type BucketState } from '../../domain/leaky-bucket.js';

const rule = (over: Partial<BucketRule> = {}): BucketRule => ({
  strategy: 'LEAKY_BUCKET',
  capacity: 1000,
  leakPerSecond: 10,
  windowMs: 60_000,
  ...over,
});
const T0 = 1_700_000_040_000;

describe('rate bucket', () => {
  const table: [
    name: string,
    rule: BucketRule,
    pours: [atSeconds: number, amount: number][],
    expected: [allowed: boolean, used: number, waitSeconds: number | null],
  ][] = [
    ['an empty bucket takes what fits', rule(), [[0, 400]], [true, 400, 0]],
    ['a full bucket is full, not over', rule(), [[0, 1000]], [true, 1000, 0]],
    [
      'an overflow changes nothing and says how long to wait',
      rule(),
      [
        [0, 1000],
        [0, 55],
      ],
      [false, 1000, 6],
    ],
    [
      'it leaks with time',
      rule(),
      [
        [0, 1000],
        [10, 100],
      ],
      [true, 1000, 0],
    ],
    [
      'it never leaks below empty',
      rule(),
      [
        [0, 10],
        [1_000, 1],
      ],
      [true, 1, 0],
    ],
    ['more than the capacity never fits', rule(), [[0, 1001]], [false, 0, null]],
    [
      'a token bucket refills',
      rule({ strategy: 'TOKEN_BUCKET' }),
      [
        [0, 1000],
        [5, 50],
      ],
      [true, 1000, 0],
    ],
    [
      'a fixed window admits its capacity',
      rule({ strategy: 'FIXED_WINDOW' }),
      [
        [0, 1000],
        [30, 1],
      ],
      [false, 1000, 30],
    ],
    [
      'and all of it again in the next',
      rule({ strategy: 'FIXED_WINDOW' }),
      [
        [0, 1000],
        [61, 1000],
      ],
      [true, 1000, 0],
    ],
  ];
  for (const [name, bucket, pours, expected] of table) {
    it(name, () => {
      let state = EMPTY_BUCKET;
      let last = pour(bucket, state, 0, T0);
      for (const [seconds, amount] of pours) {
        last = pour(bucket, state, amount, T0 + seconds * 1000);
        state = last.state;
      }
      assert.deepEqual([last.allowed, last.used, last.waitSeconds], expected);
    });
  }

  const rules = fc.record({
    strategy: fc.constantFrom('LEAKY_BUCKET' as const, 'TOKEN_BUCKET' as const, 'FIXED_WINDOW' as const),
    capacity: fc.integer({ min: 1, max: 5_000 }),
    leakPerSecond: fc.integer({ min: 1, max: 200 }),
    windowMs: fc.constant(60_000),
  });
  const arrivals = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 20_000 }), amount: fc.integer({ min: 1, max: 3_000 }) }), {
    maxLength: 60,
  });

  it('never admits more than its capacity plus what leaked since (any strategy, any arrivals)', () => {
    fc.assert(
      fc.property(rules, arrivals, (bucket, steps) => {
        let state: BucketState = EMPTY_BUCKET;
        let now = T0;
        const admitted: { at: number; amount: number }[] = [];
        for (const { afterMs, amount } of steps) {
          now += afterMs;
          const decision = pour(bucket, state, amount, now);
          state = decision.state;
          if (decision.allowed) admitted.push({ at: now, amount });
          assert.ok(decision.used <= bucket.capacity && decision.remaining >= 0);
        }
        for (const first of admitted) {
          for (const last of admitted.filter((one) => one.at >= first.at)) {
            const total = admitted.filter((one) => one.at >= first.at && one.at <= last.at).reduce((sum, one) => sum + one.amount, 0);
            const windows = Math.floor(last.at / bucket.windowMs) - Math.floor(first.at / bucket.windowMs) + 1;
            const bound =
              bucket.strategy === 'FIXED_WINDOW'
                ? windows * bucket.capacity
                : bucket.capacity + ((last.at - first.at) / 1000) * bucket.leakPerSecond;
            assert.ok(total <= bound + 1e-6, `${total} > ${bound}`);
          }
        }
      }),
    );
  });

  it('the wait it names is enough, and less than it is not (to the second)', () => {
    fc.assert(
      fc.property(rules, fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 1, max: 3_000 }), (bucket, first, second) => {
        const { state } = pour(bucket, EMPTY_BUCKET, Math.min(first, bucket.capacity), T0);
        const refused = pour(bucket, state, second, T0);
        fc.pre(!refused.allowed);
        if (refused.waitSeconds === null) {
          assert.ok(second > bucket.capacity);
          return;
        }
        assert.ok(pour(bucket, refused.state, second, T0 + refused.waitSeconds * 1000).allowed);
        assert.ok(refused.waitSeconds === 1 || !pour(bucket, refused.state, second, T0 + (refused.waitSeconds - 1) * 1000 - 1).allowed);
      }),
    );
  });

  it('what is taken back leaves no trace, and a clock that steps back gives nothing away', () => {
    fc.assert(
      fc.property(
        rules,
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 0, max: 100_000 }),
        (bucket, a, b, back) => {
          const base = pour(bucket, EMPTY_BUCKET, a, T0).state;
          const poured = pour(bucket, base, b, T0);
          if (poured.allowed) assert.ok(Math.abs(unpour(bucket, poured.state, b, T0).level - base.level) < 1e-9);
          assert.ok(leaked(bucket, base, T0 - back).level >= base.level);
        },
      ),
    );
  });
});
