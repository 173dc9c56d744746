import assert from 'node:assert/strict';
import fc from 'fast-check';
import { grantAtReset, takenOf, viewOf, type PoolBalance } from '../../domain/pool.js';
import { isZone, nextReset } from '../../domain/quota-window.js';
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
  const pool = (over: Partial<PoolBalance> = {}): PoolBalance => ({
    allowanceRemaining: 0,
    purchasedRemaining: 0,
    reserved: 0,
    pending: 0,
    consumedTotal: 0,
    allowance: 0,
    cap: null,
    resetAt: new Date('2026-01-02'),
    ...over,
  });
  const before = new Date('2026-01-01');
  const after = new Date('2026-01-03');

  it('a reader sees a window that is over as reset', () => {
    const balance = pool({ allowance: 100, allowanceRemaining: 30, purchasedRemaining: 5, reserved: 2, consumedTotal: 63 });
    assert.deepEqual(viewOf(balance, before), { totalTokens: 100, remainingTokens: 35, reservedTokens: 2 });
    assert.deepEqual(viewOf(balance, after), { totalTokens: 170, remainingTokens: 105, reservedTokens: 2 });
  });
  it('a grant fills up to the cap and never takes bought tokens away', () => {
    assert.equal(grantAtReset(pool({ allowance: 100, cap: 100 })), 100);
    assert.equal(grantAtReset(pool({ allowance: 100, cap: 100, purchasedRemaining: 40, reserved: 10, pending: 5 })), 45);
    assert.equal(grantAtReset(pool({ allowance: 100, cap: 100, purchasedRemaining: 400 })), 0);
  });
  it('what is bought but not captured yet counts against the cap', () => {
    assert.equal(takenOf(pool({ purchasedRemaining: 20, reserved: 10, pending: 30 }), before), 60);
    assert.equal(takenOf(pool({ allowance: 100, allowanceRemaining: 5 }), after), 100, 'a window that is over counts as reset');
  });
});
