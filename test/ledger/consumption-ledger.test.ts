import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { buy, poolRow, released, requestFor, settled, userPool } from '../support/consumptions.js';
import { withDatabase } from '../support/postgres.js';

describe('consumption ledger', function () {
  this.timeout(30_000);
  const database = withDatabase();
  const ledger = () => createConsumptionLedger(database().pool, { enforceQuota: true });
  const states = (outcomes: { state: string }[]) => outcomes.map((outcome) => outcome.state).sort();

  it('holds what fits and refuses the rest, each on its own', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 100);
    const outcomes = await ledger().reserve('w1', [requestFor(pool, 90), requestFor(pool, 20), requestFor(pool, 5)]);
    assert.deepEqual(states(outcomes), ['HELD', 'HELD', 'REFUSED']);
    const row = await poolRow(database().pool, pool);
    assert.equal(row['reserved'], 25);
    assert.equal(row['purchased'], 75);
  });

  it('refuses when there is no pool, and says that nothing is available', async () => {
    const [outcome] = await ledger().reserve('w1', [requestFor(userPool(), 1)]);
    assert.deepEqual([outcome?.state, outcome?.available], ['REFUSED', 0]);
  });

  it('finds its rows again when the step is repeated, and changes nothing', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 100);
    const requests = [requestFor(pool, 60), requestFor(pool, 60)];
    const first = await ledger().reserve('w1', requests);
    const again = await ledger().reserve('w1', requests);
    assert.deepEqual(new Map(again.map((o) => [o.id, o.state])), new Map(first.map((o) => [o.id, o.state])));
    assert.equal((await poolRow(database().pool, pool))['reserved'], 60);
  });

  it('leaves a consumption to the workflow that owns it', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 100);
    const request = requestFor(pool, 10);
    await ledger().reserve('owner', [request]);
    assert.deepEqual(states(await ledger().reserve('other', [request])), ['FOREIGN']);
    assert.deepEqual(await ledger().settle([settled('other', request.id, 10)]), []);
    assert.equal((await ledger().settle([settled('owner', request.id, 10)])).length, 1);
  });

  it('settles once, charges no more than was held, and gives the rest back', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 100);
    const [a, b] = [requestFor(pool, 40), requestFor(pool, 40)];
    await ledger().reserve('w', [a, b]);
    await ledger().settle([settled('w', a.id, 15), settled('w', b.id, 4_000)]);
    assert.deepEqual(await ledger().settle([settled('w', a.id, 40), released('w', b.id)]), []);
    const row = await poolRow(database().pool, pool);
    assert.deepEqual([row['purchased'], row['reserved'], row['consumed_total']], [45, 0, 55]);
  });

  it('releases in full', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 10);
    const request = requestFor(pool, 10);
    await ledger().reserve('w', [request]);
    await ledger().settle([released('w', request.id)]);
    const row = await poolRow(database().pool, pool);
    assert.deepEqual([row['purchased'], row['reserved'], row['consumed_total']], [10, 0, 0]);
    const [stored] = await ledger().find([request.id]);
    assert.deepEqual([stored?.state, stored?.outcomeCode, stored?.detail], ['RELEASED', 'PROVIDER_FAILED', 'it said 500']);
  });

  it('stores answers that hold what jsonb refuses', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 10);
    const request = requestFor(pool, 1);
    await ledger().reserve('w', [request]);
    const settlement = settled('w', request.id, 1);
    await ledger().settle([{ ...settlement, answer: { ...settlement.answer!, message: 'a\0b\ud800c "quoted" \\u0000' } }]);
    const [stored] = await ledger().find([request.id]);
    assert.equal(stored?.answer?.message, 'a\uFFFDb\uFFFDc "quoted" \\u0000');
  });

  it('burns the allowance before what was bought, and lets an allowance expire at the end of its window, holds included', async () => {
    const { pool: db } = database();
    const pool = userPool();
    await createQuotaStore(db).setPolicy('user', pool.ownerId, {
      tier: 'ENTERPRISE',
      zone: 'Europe/Berlin',
      custom: { capacityMultiplier: 1, leakMultiplier: 1, allowance: 100, cap: null },
    });
    await buy(db, pool, 50);
    const [early, late] = [requestFor(pool, 80), requestFor(pool, 40)];
    await ledger().reserve('w', [early, late]);
    let row = await poolRow(db, pool);
    assert.deepEqual([row['allowance'], row['purchased'], row['reserved']], [0, 30, 120]);

    await db.query(`UPDATE pools SET reset_at = now() - interval '1 second' WHERE owner_id = $1`, [pool.ownerId]);
    const next = requestFor(pool, 10);
    assert.deepEqual(states(await ledger().reserve('w2', [next])), ['HELD']);
    row = await poolRow(db, pool);
    assert.deepEqual([row['allowance'], row['purchased'], row['reserved']], [90, 30, 130], 'a new allowance was granted once');

    await ledger().settle([settled('w', early.id, 80), released('w', late.id)]);
    row = await poolRow(db, pool);
    // Smallest first: the 40 were all allowance; released after the reset they expire. The 80 were 60 allowance and 20 bought.
    assert.deepEqual([row['allowance'], row['purchased'], row['expired_total'], row['consumed_total']], [90, 30, 40, 80]);
  });

  it('never overspends: 60 parallel holds of 3 from 100 give exactly 33', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 100);
    const outcomes = await Promise.all(Array.from({ length: 60 }, (_, i) => ledger().reserve(`p${i}`, [requestFor(pool, 3)])));
    assert.equal(outcomes.flat().filter((outcome) => outcome.state === 'HELD').length, 33);
    assert.equal((await poolRow(database().pool, pool))['purchased'], 1);
  });

  it('does not deadlock when batches touch the same pools in different orders', async () => {
    const pools = Array.from({ length: 5 }, () => userPool());
    for (const pool of pools) await buy(database().pool, pool, 10_000);
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const requests = [...pools].sort(() => (i % 2 ? 1 : -1)).map((pool) => requestFor(pool, 1));
        await ledger().reserve(`d${i}`, requests);
        await ledger().settle(requests.map((request) => settled(`d${i}`, request.id, 1)));
      }),
    );
    for (const pool of pools) assert.equal((await poolRow(database().pool, pool))['consumed_total'], 40);
  });

  it('keeps purchased + granted = remaining + reserved + consumed + expired through any sequence', async () => {
    const { pool: db } = database();
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('reserve' as const),
        tokens: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
      }),
      fc.record({ kind: fc.constant('settle' as const), share: fc.integer({ min: 0, max: 120 }) }),
      fc.record({ kind: fc.constant('release' as const) }),
      fc.record({ kind: fc.constant('buy' as const), tokens: fc.integer({ min: 1, max: 100 }) }),
      fc.record({ kind: fc.constant('reset' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const pool = userPool();
        const policy = { tier: 'BRONZE', zone: 'America/New_York', custom: null } as const;
        await createQuotaStore(db).setPolicy('user', pool.ownerId, {
          ...policy,
          tier: 'ENTERPRISE',
          custom: { capacityMultiplier: 1, leakMultiplier: 1, allowance: 50, cap: null },
        });
        const held: { id: string; tokens: number }[] = [];
        for (const one of steps) {
          if (one.kind === 'buy') await buy(db, pool, one.tokens);
          if (one.kind === 'reset')
            await db.query(`UPDATE pools SET reset_at = now() - interval '1 hour' WHERE owner_id = $1`, [pool.ownerId]);
          if (one.kind === 'reserve') {
            const requests = one.tokens.map((tokens) => requestFor(pool, tokens));
            for (const outcome of await ledger().reserve('seq', requests)) {
              const request = requests.find((candidate) => candidate.id === outcome.id);
              if (outcome.state === 'HELD' && request) held.push(request);
            }
          }
          const last = held.at(-1);
          if (one.kind === 'settle' && last) await ledger().settle([settled('seq', last.id, one.share)]);
          if (one.kind === 'release' && last) await ledger().settle([released('seq', last.id)]);
          if (one.kind === 'settle' || one.kind === 'release') held.pop();
        }
        const row = await poolRow(db, pool);
        const sum = (...names: string[]) => names.reduce((total, name) => total + (row[name] ?? NaN), 0);
        assert.equal(
          sum('purchased_total', 'granted_total'),
          sum('allowance', 'purchased', 'reserved', 'consumed_total', 'expired_total', 'refunded_total'),
        );
        assert.equal(
          row['reserved'],
          held.reduce((total, request) => total + request.tokens, 0),
        );
        const { rows } = await db.query<{ kind: string; total: number }>(
          `SELECT kind, sum(allowance_tokens + purchased_tokens)::bigint AS total FROM ledger_entries WHERE owner_id = $1 AND provider = $2 GROUP BY kind`,
          [pool.ownerId, pool.provider],
        );
        const entered = Object.fromEntries(rows.map(({ kind, total }) => [kind, total]));
        assert.equal(entered['settle'] ?? 0, row['consumed_total']);
        assert.equal(entered['grant'] ?? 0, row['granted_total']);
        assert.equal(entered['expire'] ?? 0, row['expired_total']);
        assert.equal(entered['purchase'] ?? 0, row['purchased_total']);
      }),
      { numRuns: 40 },
    );
  });

  it('records a usage event for each row that ended, and none for a hold', async () => {
    const pool = userPool();
    await buy(database().pool, pool, 20);
    const [a, b, c] = [requestFor(pool, 10), requestFor(pool, 9), requestFor(pool, 8, { tag: 'team' })];
    await ledger().reserve('u', [a, b, c]);
    await ledger().settle([settled('u', c.id, 8)]);
    const events = await ledger().usageOf('u', [a.id, b.id, c.id, randomUUID()]);
    assert.deepEqual(
      new Map(events.map((event) => [event.id, [event.allowed, event.tokens, event.reason]])),
      new Map<string, unknown>([
        [a.id, [false, 10, 'INSUFFICIENT_QUOTA']],
        [c.id, [true, 8, null]],
      ]),
    );
  });
});
