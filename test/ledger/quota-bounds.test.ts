import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { ensurePool, lockTerms } from '../../adapters/postgres/pools.js';
import { inTransaction } from '../../adapters/postgres/pool.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { orgQuotaBody, orgQuotaView, policyBody, policyView } from '../../contracts/http/tokens.js';
import { LARGEST_AMOUNT, LARGEST_SUM, LARGEST_SUM_BY_REQUEST } from '../../domain/quota/limits.js';
import { poolRow, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { poolOnLedger } from '../support/quota-pool.js';
import { withDatabase } from '../support/postgres.js';

const RUNS = Number(process.env.LEAKY_QUOTA_RUNS ?? 40);

describe('quota bounds', function () {
  this.timeout(60_000 + RUNS * 1_000);
  const database = withDatabase();
  const store = () => createQuotaStore(database().pool);
  const orgPool = () => ({ ownerKind: 'org' as const, ownerId: randomUUID(), provider: 'openai' as const });
  const custom = { capacityMultiplier: 1, leakMultiplier: 1, allowance: 0, cap: null };

  it('an allowance of 2^53 − 1 is not accepted; the largest one may be set, lowered and set again, and everything is read', async () => {
    const terms = (allowance: number, cap: number | null = null) => ({ tier: 'ENTERPRISE', custom: { ...custom, allowance, cap } });
    assert.equal(policyBody.safeParse(terms(Number.MAX_SAFE_INTEGER)).success, false);
    assert.equal(policyBody.safeParse(terms(0, LARGEST_AMOUNT + 1)).success, false);
    const pool = poolOnLedger(database().pool, userPool());
    for (const allowance of [LARGEST_AMOUNT, 0, LARGEST_AMOUNT]) {
      const { tier, zone, custom: agreed = null } = policyBody.parse(terms(allowance));
      await store().setPolicy('user', pool.key.ownerId, { tier, zone, custom: agreed });
      await pool.take({ do: 'hold', tokens: 10_000 });
      await pool.take({ do: 'reset' });
    }
    assert.equal((await pool.read())?.totalTokens, LARGEST_AMOUNT + 30_000);
    assert.equal(await pool.take({ do: 'order', tokens: 1_000_000 }), true);
  });

  it('whatever a write accepts, every read of it answers, also near the end of the numbers', async () => {
    const amount = fc.oneof(
      fc.constantFrom(0, 1, LARGEST_AMOUNT, LARGEST_AMOUNT + 1, Number.MAX_SAFE_INTEGER),
      fc.integer({ min: 0, max: LARGEST_AMOUNT }),
    );
    const step = fc.oneof(
      fc.record({ do: fc.constant('terms' as const), allowance: amount, cap: fc.option(amount) }),
      fc.record({ do: fc.constant('total' as const), tokens: amount }),
      fc.constant({ do: 'reset' as const }),
      fc.constant({ do: 'hold' as const, tokens: 10_000 }),
      fc.constant({ do: 'settle' as const, charge: 10_000 }),
      fc.constant({ do: 'order' as const, tokens: 1_000_000 }),
      fc.constant({ do: 'post' as const }),
    );
    const given = fc.constantFrom(0, LARGEST_SUM_BY_REQUEST - 1_000_001, LARGEST_SUM_BY_REQUEST, LARGEST_SUM - LARGEST_AMOUNT, LARGEST_SUM);
    await fc.assert(
      fc.asyncProperty(given, fc.array(step, { maxLength: 12 }), async (before, steps) => {
        const pool = poolOnLedger(database().pool, orgPool());
        await pool.open();
        await database().pool.query(`UPDATE pools SET granted_total = $2, expired_total = $2 WHERE owner_id = $1`, [
          pool.key.ownerId,
          before,
        ]);
        for (const one of steps) {
          if (one.do === 'terms') {
            const body = policyBody.safeParse({ tier: 'ENTERPRISE', custom: { ...custom, allowance: one.allowance, cap: one.cap } });
            if (body.success) await pool.take({ do: 'terms', terms: { allowance: one.allowance, cap: one.cap } });
          } else if (one.do === 'total') {
            const { ownerId: orgId, provider } = pool.key;
            if (orgQuotaBody.safeParse({ orgId, provider, totalTokens: one.tokens }).success) await pool.take(one);
          } else await pool.take(one);
          await assertReadable(pool);
        }
      }),
      { numRuns: RUNS },
    );
  });

  it('the ledger itself refuses a sum that no reader can read', async () => {
    const pool = userPool();
    await ensurePool(database().pool, pool);
    const beyond = `UPDATE pools SET granted_total = 9007199254740992, expired_total = 9007199254740992 WHERE owner_id = $1`;
    await assert.rejects(database().pool.query(beyond, [pool.ownerId]), /readable/);
  });

  it('a total that would count beyond 2^52 is refused with its reason, and changes nothing', async () => {
    const pool = orgPool();
    await store().setTotal(pool, 10);
    await database().pool.query(
      `UPDATE pools SET granted_total = granted_total + $2, expired_total = expired_total + $2 WHERE owner_id = $1`,
      [pool.ownerId, LARGEST_SUM_BY_REQUEST - 20],
    );
    assert.deepEqual(await store().setTotal(pool, 21), { ok: false, reason: 'TOO_MUCH' });
    assert.equal((await store().setTotal(pool, 20)).ok, true);
    assert.deepEqual(await createPurchaseLedger(database().pool).room(pool), { cap: 0, used: 0 }, 'nor may anything be bought');
  });

  it('a tier that is set again moves no reset time; another zone does', async () => {
    const pool = userPool();
    const set = (zone: string) => store().setPolicy('user', pool.ownerId, { tier: 'FREE', zone, custom: null });
    await set('UTC');
    await database().pool.query(
      `UPDATE pools SET reset_at = date_trunc('milliseconds', now() + interval '77 minutes') WHERE owner_id = $1`,
      [pool.ownerId],
    );
    const before = (await store().read(pool))?.resetAt;
    await set('UTC');
    assert.deepEqual((await store().read(pool))?.resetAt, before);
    await set('Asia/Kathmandu');
    assert.equal((await store().read(pool))?.resetAt.toISOString().slice(11, 16), '18:15');
  });

  it('a clock that is set back blocks no reset: the window’s number names its entry, not its time', async () => {
    const pool = poolOnLedger(database().pool, userPool());
    await pool.take({ do: 'terms', terms: { allowance: 5, cap: null } });
    for (const round of [1, 2]) {
      await database().pool.query(`UPDATE pools SET reset_at = '2026-01-02T00:00:00Z' WHERE owner_id = $1`, [pool.key.ownerId]);
      await pool.settleWindow();
      assert.equal((await poolRow(database().pool, pool.key))['granted_total'], 5 + 5 * round);
    }
  });

  it('a pool does not open with terms that are being replaced', async () => {
    const { pool: db } = database();
    const pool = userPool();
    let opened: Promise<void> | undefined;
    await inTransaction(db, async (change) => {
      await lockTerms(change, pool, 'change');
      await change.query(`INSERT INTO quota_policies (owner_kind, owner_id, tier, custom) VALUES ('user', $1, 'ENTERPRISE', $2)`, [
        pool.ownerId,
        { ...custom, cap: 7 },
      ]);
      opened = ensurePool(db, pool);
      await eventually('the opening waits for the change', async () => {
        const { rows } = await db.query<{ waiting: number; open: number }>(
          `SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) AS waiting,
                  (SELECT count(*) FROM pools WHERE owner_id = $1) AS open`,
          [pool.ownerId],
        );
        assert.equal(rows[0]?.open, 0, 'it did not wait');
        return rows[0]?.waiting === 1;
      });
    });
    await opened;
    const { rows } = await db.query<{ cap: number }>('SELECT cap FROM pools WHERE owner_id = $1', [pool.ownerId]);
    assert.deepEqual(rows, [{ cap: 7 }]);
  });

  /** Every read there is of a pool and its terms, as its route answers it. */
  async function assertReadable(pool: ReturnType<typeof poolOnLedger>): Promise<void> {
    const { ownerKind, ownerId, provider } = pool.key;
    const snapshot = (await pool.read()) ?? assert.fail('no pool');
    const times = { resetTime: snapshot.resetAt.toISOString(), updatedAt: snapshot.updatedAt.toISOString() };
    orgQuotaView.parse(JSON.parse(JSON.stringify({ orgId: ownerId, provider, ...snapshot, ...times })));
    policyView.parse(JSON.parse(JSON.stringify({ ownerKind, ownerId, ...(await store().policyOf(ownerKind, ownerId)) })));
    const room = await pool.room();
    for (const [name, value] of Object.entries({ ...(await poolRow(database().pool, pool.key)), ...room }))
      assert.ok(Number.isSafeInteger(value), `${name} is ${value}`);
  }
});
