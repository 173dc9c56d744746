import assert from 'node:assert/strict';
import { v7 } from 'uuid';
import type { MaintenanceActivities } from '../../activities/maintenance.js';
import type { ReconciliationActivities } from '../../activities/reconciliation.js';
import { WORKFLOWS } from '../../contracts/temporal.js';
import { createWorker } from '../../workers/create-worker.js';
import { saveHistory } from '../support/recording.js';
import { withTemporal } from '../support/temporal.js';
import { eventTypesOf } from './histories.js';

type Activities = MaintenanceActivities & ReconciliationActivities;

/**
 * Records one history of every way a scheduled workflow can end, on a real server (10 s):
 *
 *     npm test -- test/replay/record-maintenance.ts
 *
 * What their activities answer is made up: the real ones would work for minutes before a history is cut. Run it only when a
 * workflow got a new way to end (docs/decisions/0006).
 */
describe('record maintenance workflows', function () {
  this.timeout(60_000);
  const temporal = withTemporal();
  const before = '2026-01-01T00:00:00.000Z';
  const done = (count: number) => Promise.resolve({ count, done: true });
  const more = (count: number) => Promise.resolve({ count, done: false });
  const broken = () => Promise.reject(new Error('the database is away'));

  async function run(
    workflow: string,
    args: unknown[],
    activities: Partial<Activities>,
    meanwhile?: (cancel: () => Promise<unknown>) => Promise<void>,
  ) {
    const { client, connection, namespace } = temporal();
    const taskQueue = `record-${v7()}`;
    const worker = await createWorker({ connection, namespace, taskQueue, activities, shutdownGraceMs: 1_000 });
    try {
      const handle = await client.workflow.start(workflow, { taskQueue, workflowId: `${workflow}-${v7()}`, args });
      await meanwhile?.(() => handle.cancel());
      // The result of the whole chain; how each run ended is in its own history.
      await handle.result().catch(() => undefined);
      return client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId).fetchHistory();
    } finally {
      await worker.stop();
    }
  }

  async function keep(kind: string, end: string, ...args: Parameters<typeof run>) {
    const history = await run(...args);
    assert.equal(eventTypesOf(history).at(-1), `WORKFLOW_EXECUTION_${end}`);
    saveHistory(`maintenance-${kind}`, history);
  }

  it('rollUpUsage: done, cut, cancelled', async () => {
    let answers = [more(5), done(1)];
    const foldUsage = () => answers.shift() ?? done(0);
    await keep('roll-up-done', 'COMPLETED', WORKFLOWS.rollUpUsage, [], { foldUsage });
    answers = Array.from({ length: 14 }, () => more(5));
    await keep('roll-up-cut', 'CONTINUED_AS_NEW', WORKFLOWS.rollUpUsage, [], { foldUsage });
    let begun!: () => void;
    const running = new Promise<void>((resolve) => (begun = resolve));
    const slow = () => {
      begun();
      return broken();
    };
    await keep('roll-up-cancelled', 'CANCELED', WORKFLOWS.rollUpUsage, [], { foldUsage: slow }, async (cancel) => {
      await running;
      await cancel();
    });
  });

  it('enforceRetention: done, cut among the consumptions, cut among the usage events, and the run after a cut', async () => {
    const order = { retentionDays: 90 };
    const two = (answers: ReturnType<typeof done>[]) => () => answers.shift() ?? done(2);
    const purge = (consumptions: number, usage: number): Partial<Activities> => ({
      purgeConsumptions: two(Array.from({ length: consumptions }, () => more(9))),
      purgeUsage: two(Array.from({ length: usage }, () => more(7))),
    });
    const { enforceRetention } = WORKFLOWS;
    await keep('retention-done', 'COMPLETED', enforceRetention, [order], purge(1, 1));
    await keep('retention-cut-early', 'CONTINUED_AS_NEW', enforceRetention, [order], purge(12, 0));
    await keep('retention-cut-late', 'CONTINUED_AS_NEW', enforceRetention, [order], purge(0, 12));
    await keep('retention-after-cut', 'COMPLETED', enforceRetention, [order, { before, usageEvents: 3, consumptions: 4 }], purge(0, 0));
  });

  it('scanAnomalies', async () => {
    const scan = { windowMinutes: 60, baselineWindows: 3, thresholdMultiplier: 2 };
    const anomaly = { provider: 'openai' as const, currentTokens: 900, baselineAverage: 100, ratio: 9 };
    const found = () => Promise.resolve([anomaly]);
    await keep('anomalies-found', 'COMPLETED', WORKFLOWS.scanAnomalies, [scan], { findAnomalies: found });
  });

  it('reconcileLedger and auditLedger: sound, breached, not able to look', async () => {
    const releaseOrphans = () => Promise.resolve({ released: 2, waiting: 1, reported: 0, complete: true });
    await keep('reconciled', 'COMPLETED', WORKFLOWS.reconcileLedger, [{ olderThanSeconds: 90 }], { releaseOrphans });
    const checked = { pools: 1, consumptions: 2, purchases: 3, usageEvents: 4 };
    const report = { checkedAt: before, checked, breaches: [] };
    const breach = { invariant: 1 as const, law: 'the books balance', count: 1, samples: ['a pool'] };
    const order = { graceSeconds: 60 };
    const { auditLedger } = WORKFLOWS;
    await keep('audit-sound', 'COMPLETED', auditLedger, [order], { auditLedger: () => Promise.resolve(report) });
    const breached = () => Promise.resolve({ ...report, breaches: [breach] });
    await keep('audit-breached', 'COMPLETED', auditLedger, [order], { auditLedger: breached });
    await keep('audit-failed', 'FAILED', auditLedger, [order], { auditLedger: broken });
  });
});
