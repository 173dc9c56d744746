import assert from 'node:assert/strict';
import { createReconciliationActivities } from '../../activities/reconciliation.js';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createStaleHolds } from '../../adapters/postgres/stale-holds.js';
import { createUnreportedUsage } from '../../adapters/postgres/unreported-usage.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { createOpenWorkflows } from '../../adapters/temporal/open-workflows.js';
import { createLogger } from '../../telemetry/log.js';
import { createPool } from '../../adapters/postgres/pool.js';
import { newBuyer } from '../support/buyers.js';
import { layCable } from '../support/cable.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type RigOptions } from '../support/token-service.js';

describe('consumptions whose process or workflow is ended from outside', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  const start = (options: Partial<RigOptions> = {}) =>
    startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      ...options,
      environment: { LEAKY_PROVIDER_TIMEOUT_MS: '4000', ...options.environment },
    });
  /** A process that can be cut off from both the engine and the ledger. For the others it is then as good as dead. */
  async function startDoomed() {
    const url = new URL(database().url);
    const cables = [await layCable(Number(url.port)), await layCable(Number(temporal().address.split(':')[1]))] as const;
    url.port = String(cables[0].port);
    const pool = createPool(url.href, 4, { statementTimeoutMs: 1_000, connectTimeoutMs: 1_000 });
    const rig = await start({ database: pool, temporal: { address: `127.0.0.1:${cables[1].port}`, namespace: 'default' } });
    return {
      rig,
      cutOff: () => cables.forEach((cable) => cable.cut()),
      rejoin: () => cables.forEach((cable) => cable.mend()),
      end: async () => {
        await rig.stop();
        await pool.end();
        for (const cable of cables) await cable.close();
      },
    };
  }
  const buyer = () => newBuyer(database().pool);
  /** What the scheduled workflow does, for holds of any age. */
  const reconcile = (olderThanSeconds = 0) => {
    const db = database().pool;
    return createReconciliationActivities({
      stale: createStaleHolds(db),
      unreported: createUnreportedUsage(db),
      workflows: createOpenWorkflows(temporal().client),
      ledger: createConsumptionLedger(db, { enforceQuota: true }),
      usage: createUsageSink(db),
      auditor: createAuditor(db),
      log: createLogger('silent'),
    }).releaseOrphans(olderThanSeconds);
  };
  const handleOf = (workflowId: string | undefined) => temporal().client.workflow.getHandle(workflowId ?? '');

  it('a process cut off in mid-call: the next one carries keyed items out and releases the others; a retry there waits for that', async () => {
    const doomed = await startDoomed();
    const { order, held, rows, balance } = await buyer();
    const key = { 'idempotency-key': 'k' };
    const command = order({ prompt: '[stub:slow=1000]' });
    const stranded = Promise.all([doomed.rig.consume(command, key), doomed.rig.consume(command)]);
    await eventually('both are held', async () => (await held()) === 2);
    doomed.cutOff();
    const successor = await start({ besides: doomed.rig });
    const retries = await Promise.all([successor.consume(command, key), successor.consume(command, key)]);
    assert.deepEqual(
      retries.map(({ status }) => status),
      [200, 200],
      JSON.stringify(retries),
    );
    assert.deepEqual(retries[0]?.body, retries[1]?.body);
    const id = String(retries[0]?.body['consumptionId']);
    assert.equal(await successor.callsOf(id), 2, 'one that nobody could record, and one of the takeover');
    await assertSound(database().pool);
    const outcomes = (await rows()).map((row) => [row.id === id, row.state, row.code]);
    assert.deepEqual(outcomes.sort(), [
      [false, 'RELEASED', 'ABANDONED'],
      [true, 'SETTLED', null],
    ]);
    // Back again, the first process finds what became of its items, and tells those who still wait.
    doomed.rejoin();
    const [keyed, keyless] = await stranded;
    assert.deepEqual([keyed.status, keyed.body['providerResponse']], [200, retries[0]?.body['providerResponse']]);
    assert.deepEqual([keyless.status, keyless.body['code']], [503, 'ABANDONED']);
    assert.equal((await balance())['consumed_total'], 10);
    await successor.stop();
    await doomed.end();
  });

  it('a shutdown with grace: requests in flight are answered, later ones refused, nothing is held', async () => {
    const rig = await start();
    const { order, held, rows } = await buyer();
    const answers = Promise.all(Array.from({ length: 10 }, () => rig.consume(order({ prompt: '[stub:slow=500]' }))));
    await eventually('all are held', async () => (await held()) === 10);
    const from = performance.now();
    const stopped = rig.stop(8_000);
    // Whoever comes at once, as one whose connection was just closed, is still served: the door shuts when nobody comes any more.
    assert.equal((await rig.consume(order())).status, 200);
    assert.deepEqual(new Set((await answers).map(({ status }) => status)), new Set([200]));
    await stopped;
    await assert.rejects(rig.consume(order()));
    const ms = performance.now() - from;
    assert.ok(ms < 4_000, `connections that are kept alive hold nobody up: ${ms} ms`);
    assert.deepEqual(new Set((await rows()).map(({ state }) => state)), new Set(['SETTLED']));
    await assertSound(database().pool);
  });

  describe('by an operator', () => {
    it('cancelling changes nothing', async () => {
      const rig = await start();
      const { order, held, rows } = await buyer();
      const answer = rig.consume(order({ prompt: '[stub:slow=500]' }));
      await eventually('it is held', async () => (await held()) === 1);
      await handleOf((await rows())[0]?.workflowId).cancel();
      assert.equal((await answer).status, 200);
      await assertSound(database().pool);
      await rig.stop();
    });

    it('terminating in mid-call: the call is answered and charged, and the reconciliation records it', async () => {
      const rig = await start();
      const { order, held, rows, events } = await buyer();
      const answer = rig.consume(order({ prompt: '[stub:slow=500]' }));
      await eventually('it is held', async () => (await held()) === 1);
      await handleOf((await rows())[0]?.workflowId).terminate('by the test');
      const { status, body } = await answer;
      assert.equal(status, 200);
      assert.equal(await rig.callsOf(String(body['consumptionId'])), 1);
      await reconcile();
      assert.equal(await events(), 1);
      await assertSound(database().pool);
      await rig.stop();
    });

    it('terminating while its process is cut off: the reconciliation releases the holds, and a retry under the key goes through', async () => {
      const doomed = await startDoomed();
      const { order, held, rows, events, balance } = await buyer();
      const key = { 'idempotency-key': 'k' };
      const command = order({ prompt: '[stub:slow=300]' });
      const stranded = Promise.all([doomed.rig.consume(command, key), doomed.rig.consume(command)]);
      await eventually('both are held', async () => (await held()) === 2);
      doomed.cutOff();
      assert.deepEqual([await held(), (await reconcile()).released], [2, 0], 'a workflow that is open ends its holds itself');
      for (const workflowId of new Set((await rows()).map((row) => row.workflowId))) await handleOf(workflowId).terminate('by the test');
      // With the age that the schedule gives: an operator who triggers it wants them gone now.
      // Each may be of a batch of its own, and reach the age at a run of its own.
      let released = 0;
      await eventually('both are released, young as they are', async () => (released += (await reconcile(78)).released) === 2, 15_000);
      assert.deepEqual([await held(), await events(), (await balance())['purchased']], [0, 2, 1_000]);
      const successor = await start({ besides: doomed.rig });
      assert.equal((await successor.consume(command, key)).status, 200);
      doomed.rejoin();
      assert.deepEqual(
        (await stranded).map(({ status, body }) => [status, body['code']]),
        [
          [503, 'ABANDONED'],
          [503, 'ABANDONED'],
        ],
      );
      await assertSound(database().pool);
      assert.equal((await balance())['consumed_total'], 10);
      await successor.stop();
      await doomed.end();
    });
  });
});
