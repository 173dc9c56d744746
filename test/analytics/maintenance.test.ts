import assert from 'node:assert/strict';
import { v7 } from 'uuid';
import { createMaintenanceActivities, type MaintenanceDependencies } from '../../activities/maintenance.js';
import { countRollUpMismatches } from '../../adapters/postgres/usage-audit.js';
import { createUsageMaintenance } from '../../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../../adapters/postgres/usage-reader.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { WORKFLOWS } from '../../contracts/temporal.js';
import { createWorker } from '../../workers/create-worker.js';
import type { AnomalyResult, RetentionResult } from '../../workflows/maintenance.js';
import { withDatabase } from '../support/postgres.js';
import { withTemporal } from '../support/temporal.js';
import { event } from './events.js';

const DAY_MS = 86_400_000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

describe('maintenance workflows', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();

  /** Runs one workflow to its end on a worker of its own. */
  async function run<T>(workflow: string, args: unknown[], overrides: Partial<MaintenanceDependencies> = {}) {
    const taskQueue = `maintenance-${v7()}`;
    const dependencies: MaintenanceDependencies = {
      usage: createUsageMaintenance(database().pool),
      history: createUsageReader(database().pool),
      consumptions: { purgeConsumptions: () => Promise.resolve(0) },
      ...overrides,
    };
    const { client, connection, namespace } = temporal();
    const activities = createMaintenanceActivities(dependencies);
    const worker = await createWorker({ connection, namespace, taskQueue, activities, shutdownGraceMs: 1_000 });
    try {
      const handle = await client.workflow.start(workflow, { taskQueue, workflowId: `${workflow}-${v7()}`, args });
      return { result: (await handle.result()) as T, handle };
    } finally {
      await worker.stop();
    }
  }

  it('rollUpUsage folds all there is, in a short history, and finds nothing the second time', async () => {
    const recent = Array.from({ length: 300 }, (_, index) => event({ timestamp: ago(index * 1_000), tokens: 2 }));
    for (let from = 0; from < recent.length; from += 100) await createUsageSink(database().pool).publish(recent.slice(from, from + 100));
    const { result, handle } = await run<{ folded: number }>(WORKFLOWS.rollUpUsage, []);
    assert.ok(result.folded > 0);
    assert.ok(((await handle.fetchHistory()).events?.length ?? 0) < 20);
    assert.equal(await countRollUpMismatches(database().pool), 0);
    assert.deepEqual((await run(WORKFLOWS.rollUpUsage, [])).result, { folded: 0 });
  });

  it('a fold that fails is tried again and folds once', async () => {
    await createUsageSink(database().pool).publish([event({ timestamp: ago(0) })]);
    const usage = createUsageMaintenance(database().pool);
    let attempts = 0;
    const flaky = async (limit: number) => {
      const taken = await usage.fold(limit);
      // The first attempt ends after its commit, as if the process had died before it could report.
      if (++attempts === 1) throw new Error('connection lost');
      return taken;
    };
    await run(WORKFLOWS.rollUpUsage, [], { usage: { ...usage, fold: flaky } });
    assert.equal(attempts, 2);
    assert.equal(await countRollUpMismatches(database().pool), 0);
  });

  it('rollUpUsage continues as new when much is left, and answers the sum of all runs', async () => {
    let left = 14;
    const activities = { foldUsage: () => Promise.resolve({ count: 5, done: --left === 0 }) };
    const { client, connection, namespace } = temporal();
    const taskQueue = `maintenance-${v7()}`;
    const worker = await createWorker({ connection, namespace, taskQueue, activities, shutdownGraceMs: 1_000 });
    try {
      const handle = await client.workflow.start(WORKFLOWS.rollUpUsage, { taskQueue, workflowId: `chain-${v7()}` });
      assert.deepEqual(await handle.result(), { folded: 70 });
      assert.notEqual((await handle.describe()).runId, handle.firstExecutionRunId);
    } finally {
      await worker.stop();
    }
  });

  it('enforceRetention deletes what is older, keeps what is newer, and purges consumptions up to the same time', async () => {
    await createUsageSink(database().pool).publish([
      event({ timestamp: ago(92 * DAY_MS) }),
      event({ timestamp: ago(95 * DAY_MS) }),
      event({ timestamp: ago(89 * DAY_MS) }),
    ]);
    const purged: Date[] = [];
    const consumptions = {
      purgeConsumptions: (before: Date) => {
        purged.push(before);
        return Promise.resolve(purged.length === 1 ? 5_000 : 3);
      },
    };
    const { result } = await run<RetentionResult>(WORKFLOWS.enforceRetention, [{ retentionDays: 90 }], { consumptions });
    assert.deepEqual([result.usageEvents, result.consumptions], [2, 5_003]);
    assert.ok(Math.abs(Date.parse(result.before) - (Date.now() - 90 * DAY_MS)) < 60_000);
    assert.deepEqual(purged, Array(2).fill(new Date(result.before)));
    assert.equal(await countRollUpMismatches(database().pool), 0);
  });

  it('scanAnomalies names the provider that used far more than before, with its figures', async () => {
    const sink = createUsageSink(database().pool);
    const at = (minutes: number, tokens: number) => event({ provider: 'gemini', timestamp: ago(minutes * 60_000), tokens });
    await sink.publish([at(1, 500), at(15, 100), at(25, 100)]);
    const scan = { windowMinutes: 10, baselineWindows: 2, thresholdMultiplier: 4 };
    const { result } = await run<AnomalyResult>(WORKFLOWS.scanAnomalies, [scan]);
    const found = result.anomalies.find((anomaly) => anomaly.provider === 'gemini');
    assert.deepEqual(found, { provider: 'gemini', currentTokens: 500, baselineAverage: 100, ratio: 5 });
    assert.ok(!result.anomalies.some((anomaly) => anomaly.provider === 'qwen'));
  });
});
