import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { migrate } from '../../adapters/postgres/migrate.js';
import { createPool, inTransaction, type Database } from '../../adapters/postgres/pool.js';
import { resetWindowOf } from '../../adapters/postgres/pools.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import type { PoolKey } from '../../contracts/temporal.js';
import { termsOf } from '../../domain/tiers.js';
import { projectRoot } from '../../root.js';
import { poolRow, released, requestFor, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { dropDatabases, startTestPostgres } from '../support/postgres.js';

/** Migrations before the one on trial */
const BEFORE = readdirSync(path.join(projectRoot, 'adapters/postgres/migrations')).filter((name) => name < '0008').length;
const UNREADABLE = '18014398509481982'; // 2 × (2^53 − 1): an allowance of 2^53 − 1, granted twice

describe('migration 0008 on a filled database', function () {
  this.timeout(60_000);
  const name = `test_quota_migration_${process.pid}`;
  let server: string;
  let db: Database;
  const [capped, tooMuch, expired, agreed] = [userPool(), userPool(), userPool(), userPool()];
  const hold = requestFor(capped, 130);
  const paid = randomUUID();

  before('the schema of the release before, with what it could hold', async () => {
    server = await startTestPostgres();
    await dropDatabases(server, name);
    const admin = createPool(server, 1);
    await admin.query(`CREATE DATABASE ${name}`);
    await admin.end();
    const url = new URL(server);
    url.pathname = `/${name}`;
    await migrate(url.href, BEFORE);
    db = createPool(url.href, 4);
    await openAsBefore(capped, { allowance: '100', cap: '100' });
    await db.query(`UPDATE pools SET cap = NULL WHERE owner_id = $1`, [capped.ownerId]);
    await db.query(`SELECT allocate_purchase($1, 'user', $2, 'openai', 50)`, [paid, capped.ownerId]);
    await db.query(`SELECT end_allocation($1, 'POSTED')`, [paid]);
    await db.query(`UPDATE pools SET cap = 100 WHERE owner_id = $1`, [capped.ownerId]);
    await createConsumptionLedger(db, { enforceQuota: true }).reserve('before', [hold]);
    await openAsBefore(tooMuch, { allowance: '9007199254740991', cap: null, granted: UNREADABLE });
    await openAsBefore(expired, { allowance: '9007199254740991', cap: null, granted: UNREADABLE });
    await db.query(`UPDATE pools SET allowance_remaining = 0, expired_total = granted_total WHERE owner_id = $1`, [expired.ownerId]);
    await db.query(
      `INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens)
       SELECT gen_random_uuid(), 'expire', owner_kind, owner_id, provider, expired_total FROM pools WHERE expired_total > 0`,
    );
    const custom = { capacityMultiplier: 1, leakMultiplier: 1, allowance: Number.MAX_SAFE_INTEGER, cap: Number.MAX_SAFE_INTEGER };
    await db.query(`INSERT INTO quota_policies (owner_kind, owner_id, tier, custom) VALUES ('user', $1, 'ENTERPRISE', $2)`, [
      agreed.ownerId,
      custom,
    ]);
    await assert.rejects(db.query('SELECT granted_total FROM pools'), /beyond the safe integers/, 'the fault is there');
    await migratedUnderLoad(url.href);
  });
  after(async () => {
    await db.end();
    await dropDatabases(server, name);
  });

  it('leaves sound books', async () => {
    const { breaches } = await createAuditor(db).audit(3_600);
    assert.deepEqual(breaches, []);
  });

  it('makes every pool readable, and usable: read, room, tier, reset, purchase', async () => {
    const [store, purchases] = [createQuotaStore(db), createPurchaseLedger(db)];
    for (const pool of [tooMuch, expired]) {
      assert.ok(Number.isSafeInteger((await store.read(pool))?.totalTokens));
      assert.ok(await purchases.room(pool), 'full: nothing may be bought');
      assert.ok((await poolRow(db, pool))['granted_total']! <= 2 ** 52);
      await store.setPolicy('user', pool.ownerId, { tier: 'GOLD', zone: 'UTC', custom: null });
      await due(pool);
      await resetWindowOf(db, pool);
      assert.equal((await store.read(pool))?.remainingTokens, 100_000);
      assert.deepEqual(await purchases.allocate(randomUUID(), pool, 10), { ok: false, reason: 'OVER_CAP' });
    }
    assert.deepEqual(termsOf('ENTERPRISE', (await store.policyOf('user', agreed.ownerId)).custom).allowance, 1_000_000_000_000);
  });

  it('counts what was held before: released after the next reset, bought tokens come back and the allowance expires', async () => {
    const purchases = createPurchaseLedger(db);
    assert.deepEqual(await purchases.room(capped), { cap: 100, used: 50 }, '20 left, 30 held');
    await due(capped);
    await resetWindowOf(db, capped);
    await createConsumptionLedger(db, { enforceQuota: true }).settle([released('before', hold.id)]);
    const row = await poolRow(db, capped);
    assert.deepEqual([row['allowance'], row['purchased'], row['expired_total']], [100, 50, 100]);
  });

  it('serves the statements of processes of the release before', async () => {
    const pool = userPool();
    await openAsBefore(pool, { allowance: '100', cap: '100' });
    // Their tier change raises `allowance` and grants, and knows no window_allowance.
    await db.query(
      `UPDATE pools SET allowance = 1000, cap = 1000, allowance_remaining = allowance_remaining + 900, granted_total = granted_total + 900
        WHERE owner_id = $1`,
      [pool.ownerId],
    );
    await createQuotaStore(db).setPolicy('user', pool.ownerId, { tier: 'BRONZE', zone: 'UTC', custom: null });
    assert.equal((await poolRow(db, pool))['granted_total'], 1_000, 'nothing twice');
    await due(pool);
    const { rows } = await db.query<{ done: boolean }>(
      `SELECT reset_window('user', $1, 'openai', date_trunc('milliseconds', reset_at), now() + interval '1 day', $2) AS done FROM pools WHERE owner_id = $1 AND provider = 'openai'`,
      [pool.ownerId, randomUUID()],
    );
    assert.deepEqual([rows[0]?.done, (await poolRow(db, pool))['allowance']], [true, 1_000]);
  });

  /** Holds, settles and allocates without pause while the migration runs; none of it may fail or get lost. */
  async function migratedUnderLoad(url: string): Promise<void> {
    const ledger = createConsumptionLedger(db, { enforceQuota: true });
    const busy = userPool();
    await openAsBefore(busy, { allowance: '1000000', cap: null });
    let migrating = true;
    const load = [0, 1].map(async (worker) => {
      let rounds = 0;
      for (; migrating || rounds === 0; rounds++) {
        const requests = [requestFor(busy, 3), requestFor(busy, 5)] as const;
        await ledger.reserve(`load-${worker}`, requests);
        await ledger.settle([released(`load-${worker}`, requests[0].id), released(`load-${worker}`, requests[1].id)]);
        await db.query(`SELECT allocate_purchase($1, 'user', $2, 'openai', 1)`, [randomUUID(), busy.ownerId]);
      }
      return rounds;
    });
    const touch = 'UPDATE pools SET updated_at = now() WHERE owner_id = $1';
    // A batch over two pools, caught between them: it goes on to the second, which the migration mends, while that waits for its lock.
    const between = inTransaction(db, async (batch) => {
      await batch.query(touch, [busy.ownerId]);
      await eventually('the migration waits', async () => {
        const { rows } = await batch.query<{ waiting: number }>(
          `SELECT count(*) AS waiting FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted`,
        );
        return (rows[0]?.waiting ?? 0) > 0;
      });
      await batch.query(touch, [tooMuch.ownerId]);
    });
    const migrated = migrate(url).finally(() => (migrating = false));
    await Promise.all([between, migrated]);
    const rounds = (await Promise.all(load)).reduce((sum, count) => sum + count, 0);
    const row = await poolRow(db, busy);
    assert.deepEqual([row['allowance'], row['reserved'], row['pending']], [1_000_000, 0, rounds]);
  }

  const due = (pool: PoolKey) => db.query(`UPDATE pools SET reset_at = now() - interval '1 second' WHERE owner_id = $1`, [pool.ownerId]);

  /** As the release before opened a pool and granted its first allowance. */
  async function openAsBefore(
    pool: PoolKey,
    { allowance, cap, granted = allowance }: { allowance: string; cap: string | null; granted?: string },
  ): Promise<void> {
    await db.query(
      `WITH made AS (
         INSERT INTO pools (owner_kind, owner_id, provider, allowance, cap, zone, reset_at, allowance_remaining, granted_total)
         VALUES ('user', $1, $2, $3, $4, 'UTC', now() + interval '1 day', $5, $5) RETURNING 1)
       INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens)
       SELECT $6, 'grant', 'user', $1, $2, $5 FROM made`,
      [pool.ownerId, pool.provider, allowance, cap, granted, randomUUID()],
    );
  }
});
