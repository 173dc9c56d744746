import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { findPool } from '../../adapters/postgres/pools.js';
import { openPool, purchaseRoom, take, type QuotaState, type Step } from '../../domain/quota/engine.js';
import { isTier, termsOf } from '../../domain/tiers.js';
import { projectRoot } from '../../root.js';
import { poolRow, userPool } from '../support/consumptions.js';
import { poolOnLedger } from '../support/quota-pool.js';
import { withDatabase } from '../support/postgres.js';

/** `LEAKY_QUOTA_RUNS=1000 npm test -- test/ledger/quota-rules.test.ts` looks longer. */
const RUNS = Number(process.env.LEAKY_QUOTA_RUNS ?? 40);

describe('quota rules', function () {
  this.timeout(60_000 + RUNS * 1_000);
  const database = withDatabase();
  const NOTHING = { totalTokens: 0, remainingTokens: 0, reservedTokens: 0 };

  describe('worked examples of docs/quota.md', () => {
    const examples = examplesOf(readFileSync(path.join(projectRoot, 'docs/quota.md'), 'utf8'));

    it('has examples of the first five rules', () =>
      assert.deepEqual([...new Set(examples.map(({ rule }) => rule[0]))].sort(), ['1', '2', '3', '4', '5']));

    for (const { rule, words, steps, expected } of examples) {
      it(`${rule}. ${words}`, async () => {
        let model = openPool(termsOf('STANDARD'));
        const pool = poolOnLedger(database().pool, userPool());
        for (const { step, refused } of steps) {
          const next = take(model, step);
          assert.deepEqual([next === null, !(await pool.take(step))], [refused, refused], JSON.stringify(step));
          model = next ?? model;
        }
        const room = purchaseRoom(model);
        const mayBuy = room === null ? 'any' : Math.max(0, room.cap - room.used);
        assert.deepEqual([model.allowanceRemaining, model.purchasedRemaining, model.reserved, mayBuy], expected, 'the model');
        const { remainingTokens, reservedTokens } = (await pool.read()) ?? NOTHING;
        assert.deepEqual([remainingTokens, reservedTokens], [model.allowanceRemaining + model.purchasedRemaining, model.reserved]);
        assert.deepEqual(await pool.room(), room);
      });
    }
  });

  it('every balance is the model’s after every step, and a window is granted the largest allowance that was in force in it', async () => {
    const tokens = fc.integer({ min: 1, max: 150 });
    const terms = fc.record({ allowance: fc.integer({ min: 0, max: 200 }), cap: fc.option(fc.integer({ min: 0, max: 250 })) });
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant('terms' as const), terms }) },
      { weight: 2, arbitrary: fc.constant({ do: 'reset' as const }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant('hold' as const), tokens }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), charge: fc.integer({ min: 0, max: 200 }) }) },
      { weight: 2, arbitrary: fc.constant({ do: 'release' as const }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('order' as const), tokens }) },
      { weight: 2, arbitrary: fc.constant({ do: 'post' as const }) },
      { weight: 1, arbitrary: fc.constant({ do: 'void' as const }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('total' as const), tokens: fc.integer({ min: 0, max: 600 }) }) },
    );
    const zones = fc.constantFrom('UTC', 'Asia/Kathmandu', 'Pacific/Kiritimati');
    const property = fc.asyncProperty(terms, fc.array(fc.tuple(step, zones), { maxLength: 25 }), async (first, steps) => {
      const pool = poolOnLedger(database().pool, userPool());
      await pool.take({ do: 'terms', terms: first });
      await pool.open();
      let model = openPool(first);
      const windows = [first.allowance];
      for (const [one, zone] of steps) {
        // A window that is over is over once, however long nobody looks.
        if (one.do === 'reset' && (await pool.isDue())) continue;
        const next = take(model, one);
        assert.equal(await pool.take(one, zone), next !== null, `${one.do} is refused by one of the two`);
        model = next ?? model;
        if (one.do === 'reset') windows.push(model.allowance);
        if (one.do === 'terms') windows.push(Math.max(windows.pop() ?? 0, one.terms.allowance));
        await assertSame(pool, model);
      }
      await pool.settleWindow();
      await assertSame(pool, model);
      const { rows } = await database().pool.query<{ granted: number }>(
        `SELECT coalesce(sum(allowance_tokens), 0)::bigint AS granted FROM ledger_entries WHERE owner_id = $1 AND provider = $2 AND kind = 'grant'`,
        [pool.key.ownerId, pool.key.provider],
      );
      assert.equal(
        rows[0]?.granted,
        windows.reduce((sum, allowance) => sum + allowance, 0),
        'granted once a window',
      );
    });
    await fc.assert(property, { numRuns: RUNS });
    const { breaches } = await createAuditor(database().pool).audit(3_600);
    assert.deepEqual(
      breaches.filter(({ invariant }) => invariant !== 3),
      [],
      'nothing published usage here',
    );
  });

  it('is granted once, whatever happens at the same time: resets, tiers up and down, holds, purchases', async () => {
    const pool = poolOnLedger(database().pool, userPool());
    const tier = (name: 'FREE' | 'BRONZE' | 'GOLD'): Step => ({ do: 'terms', terms: termsOf(name) });
    await pool.take(tier('FREE'));
    await pool.take({ do: 'hold', tokens: 40 });
    await pool.take({ do: 'reset' });
    await Promise.all([
      ...Array.from({ length: 4 }, (_, i) => pool.take(tier(i % 2 ? 'BRONZE' : 'FREE'))),
      pool.take(tier('GOLD')),
      ...Array.from({ length: 12 }, (_, i) => pool.take({ do: 'hold', tokens: i + 1 })),
      ...Array.from({ length: 4 }, () => pool.take({ do: 'order', tokens: 10 })),
      ...Array.from({ length: 4 }, () => pool.settleWindow()),
      pool.take({ do: 'release' }),
    ]);
    await Promise.all([pool.take(tier('GOLD')), pool.take(tier('BRONZE'))]);
    const row = await poolRow(database().pool, pool.key);
    assert.equal(row['granted_total'], 100 + 100_000, 'the first window, and the second at its largest');
    assert.equal(await pool.take({ do: 'release' }), true);
  });

  async function assertSame(pool: ReturnType<typeof poolOnLedger>, model: QuotaState): Promise<void> {
    const { holds, orders, allowance, cap, windowAllowance, windowNo, ...sums } = model;
    const remainingTokens = sums.allowanceRemaining + sums.purchasedRemaining;
    const view = { totalTokens: remainingTokens + sums.reserved + sums.consumedTotal, remainingTokens, reservedTokens: sums.reserved };
    const { totalTokens, reservedTokens, ...read } = (await pool.read()) ?? assert.fail('no pool');
    assert.deepEqual({ totalTokens, remainingTokens: read.remainingTokens, reservedTokens }, view);
    assert.deepEqual(await pool.room(), purchaseRoom(model));
    assert.equal(
      sums.reserved,
      holds.reduce((sum, held) => sum + held.allowance + held.purchased, 0),
    );
    assert.equal(
      sums.pending,
      orders.reduce((sum, tokens) => sum + tokens, 0),
    );
    if (await pool.isDue()) return;
    const stored = (await findPool(database().pool, pool.key)) ?? assert.fail('no pool');
    const row = await poolRow(database().pool, pool.key);
    assert.deepEqual([stored.allowance, stored.cap, stored.windowAllowance, stored.windowNo], [allowance, cap, windowAllowance, windowNo]);
    assert.deepEqual(row, {
      allowance: sums.allowanceRemaining,
      purchased: sums.purchasedRemaining,
      reserved: sums.reserved,
      pending: sums.pending,
      purchased_total: sums.purchasedTotal,
      granted_total: sums.grantedTotal,
      consumed_total: sums.consumedTotal,
      refunded_total: 0,
      expired_total: sums.expiredTotal,
    });
  }
});

interface Example {
  rule: string;
  words: string;
  steps: { step: Step; refused: boolean }[];
  expected: (number | 'any')[];
}

/** The rows of the page's table whose first cell begins with a rule's number. */
function examplesOf(page: string): Example[] {
  const rows = page.split('\n').filter((line) => /^\| [1-8](:|\s)/.test(line));
  return rows.map((line) => {
    const [rule = '', words = '', ...figures] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    const steps = words.split(', ').flatMap((part) => {
      const refused = part.startsWith('[');
      const taken = stepsOf(part.replace(/[[\]]/g, '')).map((step) => ({ step, refused }));
      return refused ? taken.slice(0, 1) : taken;
    });
    return { rule, words, steps, expected: figures.map((figure) => (figure === 'any' ? figure : Number(figure.replaceAll(',', '')))) };
  });
}

function stepsOf(words: string): Step[] {
  const [verb = '', amount, , cap] = words.split(' ');
  const tokens = Number(amount);
  if (isTier(verb)) return [{ do: 'terms', terms: termsOf(verb) }];
  if (verb === 'agreed') return [{ do: 'terms', terms: { allowance: tokens, cap: cap === 'none' ? null : Number(cap) } }];
  if (verb === 'spend')
    return [
      { do: 'hold', tokens },
      { do: 'settle', charge: tokens },
    ];
  if (verb === 'buy') return [{ do: 'order', tokens }, { do: 'post' }];
  if (verb === 'paid') return [{ do: 'post' }];
  if (verb === 'settle') return [{ do: 'settle', charge: amount === undefined ? 1_000_000 : tokens }];
  if (verb === 'hold' || verb === 'order' || verb === 'total') return [{ do: verb, tokens }];
  if (verb === 'release' || verb === 'void' || verb === 'reset') return [{ do: verb }];
  throw new Error(`docs/quota.md has a step that no test knows: ${words}`);
}
