import assert from 'node:assert/strict';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { buy, released, requestFor, settled, userPool } from '../support/consumptions.js';
import { withDatabase } from '../support/postgres.js';

describe('audit', function () {
  this.timeout(30_000);
  const database = withDatabase();
  const audit = () => createAuditor(database().pool).audit(0);
  const ids: { pool: string; settled: string; released: string; refused: string; held: string } = {
    pool: '',
    settled: '',
    released: '',
    refused: '',
    held: '',
  };

  before('some of everything', async () => {
    const db = database().pool;
    const ledger = createConsumptionLedger(db, { enforceQuota: true });
    const pool = userPool();
    await buy(db, pool, 100);
    const requests = [requestFor(pool, 10), requestFor(pool, 11), requestFor(pool, 500), requestFor(pool, 12)] as const;
    await ledger.reserve('w', requests);
    await ledger.settle([settled('w', requests[0].id, 10), released('w', requests[1].id)]);
    await createUsageSink(db).publish(
      await ledger.usageOf(
        'w',
        requests.map((request) => request.id),
      ),
    );
    Object.assign(ids, {
      pool: pool.ownerId,
      settled: requests[0].id,
      released: requests[1].id,
      refused: requests[2].id,
      held: requests[3].id,
    });
    await db.query(
      `INSERT INTO token_purchase_saga (id, user_id, provider, tokens, amount_cents, payment_method, payload_hash, status, correlation_id, workflow_id, run_id, created_at)
       SELECT saga_id, owner_id, provider, tokens, 100, 'sim_approve', '', 'COMPLETED', 'c', 'w', 'r', now() FROM allocations`,
    );
    await db.query(
      `INSERT INTO sim_payments (payment_key, amount_cents, method, state, captures) SELECT id, 100, 'sim_approve', 'CAPTURED', 1 FROM token_purchase_saga`,
    );
  });

  it('finds nothing but the hold that is still open in sound books, and not even that within the grace', async () => {
    const { breaches, checked } = await audit();
    assert.deepEqual(
      breaches.map(({ invariant, count, samples }) => ({ invariant, count, samples })),
      [{ invariant: 4, count: 1, samples: [ids.held] }],
    );
    assert.deepEqual(checked, { pools: 1, consumptions: 4, purchases: 1, usageEvents: 3 });
    assert.deepEqual((await createAuditor(database().pool).audit(60)).breaches, []);
  });

  // Each row breaks the books in one way, which the audit must name, and mends them again.
  const crimes: [law: string, commit: () => [string, unknown[]], undo: () => [string, unknown[]]][] = [
    [
      'sums of its ledger entries',
      () => [`UPDATE pools SET purchased_total = purchased_total + 1, purchased_remaining = purchased_remaining + 1`, []],
      () => [`UPDATE pools SET purchased_total = purchased_total - 1, purchased_remaining = purchased_remaining - 1`, []],
    ],
    [
      'what its consumptions hold',
      () => [`UPDATE pools SET reserved = reserved + 1, purchased_remaining = purchased_remaining - 1`, []],
      () => [`UPDATE pools SET reserved = reserved - 1, purchased_remaining = purchased_remaining + 1`, []],
    ],
    [
      'no more allowance, left and held, than it was granted',
      () => [`UPDATE pools SET allowance_remaining = allowance_remaining + 1, purchased_remaining = purchased_remaining - 1`, []],
      () => [`UPDATE pools SET allowance_remaining = allowance_remaining - 1, purchased_remaining = purchased_remaining + 1`, []],
    ],
    ['pending allocations', () => [`UPDATE pools SET pending = pending + 1`, []], () => [`UPDATE pools SET pending = pending - 1`, []]],
    [
      'a captured payment has its tokens posted',
      () => [`UPDATE allocations SET state = 'VOIDED'`, []],
      () => [`UPDATE allocations SET state = 'POSTED'`, []],
    ],
    [
      'money is held for open purchases only',
      () => [
        `INSERT INTO sim_payments (payment_key, amount_cents, method, state) VALUES (gen_random_uuid(), 1, 'sim_approve', 'AUTHORIZED')`,
        [],
      ],
      () => [`DELETE FROM sim_payments WHERE state = 'AUTHORIZED'`, []],
    ],
    [
      'a completed purchase was captured once',
      () => [`UPDATE sim_payments SET state = 'RELEASED', captures = 0`, []],
      () => [`UPDATE sim_payments SET state = 'CAPTURED', captures = 1`, []],
    ],
    [
      'neither money nor tokens',
      () => [`UPDATE token_purchase_saga SET status = 'FAILED', failure_reason = 'CANCELLED'`, []],
      () => [`UPDATE token_purchase_saga SET status = 'COMPLETED', failure_reason = NULL`, []],
    ],
    [
      'every purchase ends',
      () => [`UPDATE token_purchase_saga SET status = 'STARTED', created_at = now() - interval '1 day'`, []],
      () => [`UPDATE token_purchase_saga SET status = 'COMPLETED', created_at = now()`, []],
    ],
    [
      'every consumption that ended is in the usage events',
      () => [`UPDATE usage_events SET tokens = 9 WHERE id = $1`, [ids.settled]],
      () => [`UPDATE usage_events SET tokens = 10 WHERE id = $1`, [ids.settled]],
    ],
    [
      'roll-ups equal a recount',
      () => [`UPDATE usage_deltas SET tokens = tokens + 1`, []],
      () => [`UPDATE usage_deltas SET tokens = tokens - 1`, []],
    ],
    [
      'charged in the ledger and keeps its answer',
      () => [`UPDATE consumptions SET charged = 9 WHERE id = $1`, [ids.settled]],
      () => [`UPDATE consumptions SET charged = 10 WHERE id = $1`, [ids.settled]],
    ],
    [
      'what was refused or released is not charged',
      () => [`UPDATE consumptions SET charged = 1 WHERE id = $1`, [ids.refused]],
      () => [`UPDATE consumptions SET charged = 0 WHERE id = $1`, [ids.refused]],
    ],
  ];
  for (const [law, commit, undo] of crimes) {
    it(`names the breach: ${law}`, async () => {
      await database().pool.query(...commit());
      const laws = (await audit()).breaches.map((breach) => breach.law);
      await database().pool.query(...undo());
      assert.ok(
        laws.some((found) => found.includes(law)),
        laws.join('; '),
      );
      assert.equal((await audit()).breaches.length, 1, 'the books are mended again');
    });
  }

  it('books that do not balance cannot even be written', async () => {
    await assert.rejects(database().pool.query('UPDATE pools SET consumed_total = consumed_total + 1'), /balanced/);
    await assert.rejects(database().pool.query('UPDATE pools SET purchased_remaining = -1'), /check/i);
  });
});
