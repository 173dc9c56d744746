import assert from 'node:assert/strict';
import { createReconciliationActivities } from '../../activities/reconciliation.js';
import type { UsageSink } from '../../activities/ports.js';
import type { RecordedUsage } from '../../activities/reconciliation-ports.js';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createStaleHolds } from '../../adapters/postgres/stale-holds.js';
import { createUnreportedUsage } from '../../adapters/postgres/unreported-usage.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { createOpenWorkflows } from '../../adapters/temporal/open-workflows.js';
import { republish } from '../../compose/republish.js';
import { createLogger } from '../../telemetry/log.js';
import { newBuyer } from '../support/buyers.js';
import { buy, requestFor, settled, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { connectionLost } from '../support/faulty.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig } from '../support/token-service.js';

const YEAR_AGO = `now() - interval '1 year'`;

describe('usage that its workflow never published', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();

  interface Runner {
    /** Workflows that are still open; unset: none is */
    open?: (workflowId: string) => boolean;
    usage?: UsageSink;
    elsewhere?: Map<string, RecordedUsage>;
  }
  const runner = ({ open = () => false, usage, elsewhere }: Runner = {}) => {
    const db = database().pool;
    const find = (ids: readonly string[]) =>
      Promise.resolve(new Map(ids.flatMap((id) => (elsewhere?.has(id) ? [[id, elsewhere.get(id)!]] : []))));
    return createReconciliationActivities({
      stale: createStaleHolds(db),
      unreported: createUnreportedUsage(db, elsewhere ? { find, keptSince: () => new Date(0) } : null),
      workflows: { isOpen: (workflowId) => Promise.resolve(open(workflowId)) },
      ledger: createConsumptionLedger(db, { enforceQuota: true }),
      usage: usage ?? createUsageSink(db),
      auditor: createAuditor(db),
      log: createLogger('silent'),
    });
  };
  const events = async (ids: readonly string[]) =>
    (await database().pool.query<{ id: string }>('SELECT id FROM usage_events WHERE id = ANY($1::uuid[])', [ids])).rows.map(({ id }) => id);
  const age = (ids: readonly string[], createdAt: string) =>
    database().pool.query(`UPDATE consumptions SET created_at = ${createdAt}, decided_at = ${createdAt} WHERE id = ANY($1::uuid[])`, [ids]);

  /** So many consumptions that their workflow held and, unless told otherwise, settled, and nothing more. */
  async function left(workflowId: string, count: number, { settle = true } = {}): Promise<string[]> {
    const db = database().pool;
    const ledger = createConsumptionLedger(db, { enforceQuota: true });
    const pool = userPool();
    await buy(db, pool, count);
    const requests = Array.from({ length: count }, () => requestFor(pool, 1));
    await ledger.reserve(workflowId, requests);
    const ids = requests.map(({ id }) => id);
    if (settle) await ledger.settle(ids.map((id) => settled(workflowId, id, 1)));
    return ids;
  }

  beforeEach(() => createUnreportedUsage(database().pool).rewind());

  it('is published once by a reconciliation that comes long after its batch was terminated by hand', async () => {
    let away = true;
    const rig = await startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      usage: (real) => ({ publish: (list) => (away ? connectionLost() : real.publish(list)) }),
    });
    const buyer = await newBuyer(database().pool);
    assert.equal((await rig.consume(buyer.order())).status, 200);
    const [row] = await buyer.rows();
    assert.ok(row);
    await temporal().client.workflow.getHandle(row.workflowId).terminate('by the test');
    const { isOpen } = createOpenWorkflows(temporal().client);
    await eventually('it is terminated', async () => !(await isOpen(row.workflowId)));
    await age([row.id], `now() - interval '1 hour'`);
    assert.equal((await runner().releaseOrphans(90)).reported, 1);
    assert.equal((await runner().releaseOrphans(90)).reported, 0);
    // What still tries in the background changes nothing.
    away = false;
    await eventually('the batch has ended here too', () => rig.intake.openBatches === 0, 20_000);
    assert.equal(await buyer.events(), 1);
    await assertSound(database().pool);
    await rig.stop();
  });

  it('is found however old, and once only; the next look begins where the last one ended', async () => {
    const old = await left('w-old', 1_203);
    await age(old, YEAR_AGO);
    const { reported, complete } = await runner().releaseOrphans(60);
    assert.deepEqual([reported, complete], [1_203, true]);
    const page = await createUnreportedUsage(database().pool).nextPage(60, 10);
    assert.deepEqual([page.upTo, page.unreported], [null, []]);
    assert.equal((await events(old)).length, 1_203);
    await assertSound(database().pool);
  });

  it('of an open workflow is left to it; when that is terminated later, the look has not forgotten it', async () => {
    const open = new Set(['w-ended', 'w-held']);
    const isOpen = (workflowId: string) => open.has(workflowId);
    const ended = await left('w-ended', 2);
    const held = await left('w-held', 2, { settle: false });
    const after = await left('w-after', 1);
    await age([...ended, ...held], YEAR_AGO);
    assert.equal((await runner({ open: isOpen }).releaseOrphans(0)).reported, 1);
    assert.deepEqual(await events([...ended, ...held]), []);
    const ledger = createConsumptionLedger(database().pool, { enforceQuota: true });
    await ledger.settle(held.map((id) => settled('w-held', id, 1)));
    open.clear();
    assert.equal((await runner({ open: isOpen }).releaseOrphans(0)).reported, 4);
    assert.equal((await events([...ended, ...held, ...after])).length, 5);
    const { rows } = await database().pool.query('SELECT 1 FROM postponed_usage WHERE consumption_id = ANY($1::uuid[])', [
      [...ended, ...held],
    ]);
    assert.equal(rows.length, 0);
    await assertSound(database().pool);
  });

  it('stays found until it is published: a store that is away moves no mark', async () => {
    const ids = await left('w', 3);
    await assert.rejects(runner({ usage: { publish: () => connectionLost() } }).releaseOrphans(0));
    assert.equal((await runner().releaseOrphans(0)).reported, 3);
    assert.equal((await events(ids)).length, 3);
  });

  it('is published once by two runners at a time', async () => {
    const ids = await left('w', 1_500);
    await Promise.all([runner().releaseOrphans(0), runner().releaseOrphans(0)]);
    assert.equal((await events(ids)).length, 1_500);
    await assertSound(database().pool);
  });

  it('is found by its ids in another store, which is asked in place of the database', async () => {
    const stored = new Map<string, RecordedUsage>();
    const publish: UsageSink['publish'] = async (list) => list.forEach((event) => stored.set(event.id, event));
    const ids = await left('w', 5);
    const known = ids.slice(0, 3);
    await publish(await createConsumptionLedger(database().pool, { enforceQuota: true }).usageOf('w', known));
    await runner({ elsewhere: stored, usage: { publish } }).releaseOrphans(0);
    assert.deepEqual(
      ids.filter((id) => !stored.has(id)),
      [],
    );
    await createUsageSink(database().pool).publish(
      await createConsumptionLedger(database().pool, { enforceQuota: true }).usageOf('w', ids),
    );
  });

  it('is published anew by hand, for a span of time, as often as one likes', async () => {
    const ids = await left('w', 1_002);
    const outside = await left('w', 1);
    await age(ids, `'2001-01-01T12:00:00Z'`);
    await age(outside, `'2001-01-02T00:00:00Z'`);
    const span = { from: new Date('2001-01-01T00:00:00Z'), to: new Date('2001-01-02T00:00:00Z') };
    for (let time = 0; time < 2; time++) assert.equal(await republish(database().pool, createUsageSink(database().pool), span), 1_002);
    assert.deepEqual([(await events(ids)).length, (await events(outside)).length], [1_002, 0]);
    await runner().releaseOrphans(0);
    await assertSound(database().pool);
  });
});
