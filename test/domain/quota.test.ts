import assert from 'node:assert/strict';
import fc from 'fast-check';
import { viewOf } from '../../domain/pool.js';
import { isZone, nextReset } from '../../domain/quota-window.js';
import { grantable, LARGEST_AMOUNT, LARGEST_SUM, LARGEST_SUM_BY_REQUEST } from '../../domain/quota/limits.js';
import { changeTo, grantOnTerms, roomOf } from '../../domain/quota/rules.js';
import { higherTier, termsOf, TIERS } from '../../domain/tiers.js';

describe('quota windows', () => {
  const table: [zone: string, now: string, reset: string, hours: number][] = [
    ['UTC', '2026-03-10T12:00:00Z', '2026-03-11T00:00:00Z', 24],
    ['Europe/Berlin', '2026-03-28T23:30:00Z', '2026-03-29T22:00:00Z', 23],
    ['Europe/Berlin', '2026-10-25T10:00:00Z', '2026-10-25T23:00:00Z', 25],
    ['America/New_York', '2026-07-04T03:59:59Z', '2026-07-04T04:00:00Z', 24],
    ['Asia/Kathmandu', '2026-01-01T18:15:00Z', '2026-01-02T18:15:00Z', 24],
    // Clocks there go forward at midnight: the day begins at one o'clock.
    ['America/Asuncion', '2023-09-30T12:00:00Z', '2023-10-01T04:00:00Z', 24],
  ];
  for (const [zone, now, reset] of table) {
    it(`${now} in ${zone} resets at ${reset}`, () =>
      assert.equal(nextReset(new Date(now), zone).toISOString(), reset.replace('Z', '.000Z')));
  }

  it('the next reset lies ahead by at most 25 hours, and resets follow each other without gap', () => {
    const instants = fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(
        instants,
        fc.constantFrom('UTC', 'Europe/Berlin', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Tehran'),
        (now, zone) => {
          const reset = nextReset(now, zone);
          const hours = (reset.getTime() - now.getTime()) / 3_600_000;
          assert.ok(hours > 0 && hours <= 25, `${hours} h`);
          const length = (nextReset(reset, zone).getTime() - reset.getTime()) / 3_600_000;
          assert.ok(length >= 23 && length <= 25, `${length} h`);
        },
      ),
    );
  });

  it('knows zones from nonsense', () =>
    assert.deepEqual(['Europe/Berlin', 'UTC', 'Mars/Olympus', ''].map(isZone), [true, true, false, false]));
});

describe('tiers', () => {
  it('the higher one wins, whichever side has it, and none counts for nothing', () => {
    for (const [low, a] of TIERS.entries()) {
      for (const [high, b] of TIERS.entries()) assert.equal(higherTier(a, b), TIERS[Math.max(low, high)]);
      assert.equal(higherTier(a, null), a);
    }
  });
  const terms: [(typeof TIERS)[number], number, number, number, number | null][] = [
    ['STANDARD', 1, 1, 0, null],
    ['FREE', 0.5, 0.5, 100, 100],
    ['BRONZE', 1, 1, 1_000, 1_000],
    ['SILVER', 2, 2, 10_000, 10_000],
    ['GOLD', 5, 5, 100_000, 100_000],
  ];
  for (const [tier, capacityMultiplier, leakMultiplier, allowance, cap] of terms) {
    it(`${tier} has the terms of the price list`, () =>
      assert.deepEqual(termsOf(tier), { capacityMultiplier, leakMultiplier, allowance, cap }));
  }
});

describe('pool', () => {
  const balance = {
    allowanceRemaining: 30,
    purchasedRemaining: 5,
    reserved: 2,
    consumedTotal: 63,
    nextGrant: 100,
    resetAt: new Date('2026-01-02'),
  };

  it('a reader sees a window that is over as reset', () => {
    assert.deepEqual(viewOf(balance, new Date('2026-01-01')), { totalTokens: 100, remainingTokens: 35, reservedTokens: 2 });
    assert.deepEqual(viewOf(balance, new Date('2026-01-03')), { totalTokens: 170, remainingTokens: 105, reservedTokens: 2 });
  });
});

describe('what a pool may be given', () => {
  const amount = fc.integer({ min: 0, max: LARGEST_AMOUNT });
  const sums = fc.integer({ min: 0, max: LARGEST_SUM });

  it('is countable after every grant: the sum never leaves the safe integers', () =>
    fc.assert(
      fc.property(sums, amount, amount, (grantedTotal, windowAllowance, allowance) => {
        const pool = { purchasedTotal: 0, grantedTotal, pending: 0, windowAllowance };
        assert.ok(Number.isSafeInteger(grantedTotal + grantOnTerms(pool, allowance)));
        assert.ok(Number.isSafeInteger(grantedTotal + grantable(pool, allowance)));
        assert.equal(grantable({ ...pool, grantedTotal: 0 }, allowance), allowance, 'whole, long before the end');
      }),
    ));

  it('leaves half of the numbers to allowances: no total and no purchase goes beyond', () =>
    fc.assert(
      fc.property(sums, amount, fc.option(amount), (grantedTotal, totalTokens, cap) => {
        const pool = {
          purchasedTotal: 0,
          grantedTotal,
          pending: 0,
          allowanceRemaining: 0,
          purchasedRemaining: 0,
          reserved: 0,
          consumedTotal: 0,
        };
        const change = changeTo(pool, totalTokens);
        assert.equal(change.ok, totalTokens === 0 || grantedTotal + totalTokens <= LARGEST_SUM_BY_REQUEST);
        const room = roomOf({ ...pool, cap, bought: 0 });
        assert.ok(room === null || room.cap === room.used || grantedTotal + room.cap - room.used <= LARGEST_SUM_BY_REQUEST);
      }),
    ));
});
