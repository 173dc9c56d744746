import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { v7 } from 'uuid';
import type { ConsumptionRequest } from '../../activities/consumption-ports.js';
import { workflowIds, type ConsumptionBatchResult } from '../../contracts/temporal.js';
import { buy, requestFor, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { saveHistory } from '../support/recording.js';
import { withTemporal } from '../support/temporal.js';
import { startLine, type Line, type LineOptions } from './batches.js';
import { eventTypesOf, localActivitiesOf } from './histories.js';

const PATIENCE_MS = 30_000;

/**
 * Records one history of every way a batch of consumptions can end, on real servers (40 s):
 *
 *     npm test -- test/replay/record-consumption.ts
 *
 * Not part of the tests, and to be run only when a workflow got a new way to end: the recordings stand for what is running
 * somewhere, so one that no longer replays is not repaired by recording it anew (docs/decisions/0006).
 */
describe('record batches of consumptions', function () {
  this.timeout(120_000);
  const database = withDatabase();
  const temporal = withTemporal();
  const lines: Line[] = [];
  const children: ChildProcess[] = [];
  after(() => Promise.all(lines.map(({ worker }) => worker.stop())));
  after(() => children.forEach((child) => child.kill('SIGKILL')));

  async function line(broken: Pick<LineOptions, 'ledger' | 'usage'> = {}, taskQueue = `record-${v7()}`) {
    const started = await startLine({ database: database().pool, temporal: temporal(), taskQueue, ...broken });
    lines.push(started);
    return started;
  }

  /** Requests of 10 tokens, one for each prompt, of a buyer who has that many tokens. */
  async function requests(tokens: number, prompts: string[], over: Partial<ConsumptionRequest> = {}) {
    const pool = userPool();
    if (tokens > 0) await buy(database().pool, pool, tokens);
    return prompts.map((prompt) => requestFor(pool, 10, { prompt, ...over }));
  }

  const handleOf = (batchId: string) => temporal().client.workflow.getHandle(workflowIds.consumption(batchId));

  /** Waits for the end, checks that the run was what its name says, and keeps the history. */
  async function keep(kind: string, handle: ReturnType<typeof handleOf>, expected: Partial<ConsumptionBatchResult>, steps: string[]) {
    const nothing = { held: 0, refused: 0, abandoned: 0, settled: 0, released: 0 };
    assert.deepEqual(await handle.result(), { ...nothing, ...expected });
    const history = await handle.fetchHistory();
    assert.deepEqual(localActivitiesOf(history), steps);
    saveHistory(`consumption-${kind}`, history);
    return history;
  }

  const ALL_STEPS = ['reserveTokens', 'callProviders', 'publishUsage'];

  it('that are settled, released, refused, foreign', async () => {
    const { begin } = await line();
    const one = await requests(100, ['answer']);
    await keep('settled', await begin(one), { held: 1, settled: 1 }, ALL_STEPS);
    await keep('provider-failed', await begin(await requests(10, ['fail'])), { held: 1, released: 1 }, ALL_STEPS);
    await keep('all-refused', await begin(await requests(0, ['answer', 'answer'])), { refused: 2 }, ['reserveTokens', 'publishUsage']);
    await keep('all-foreign', await begin(one), { abandoned: 1 }, ['reserveTokens']);
    const mixed = await requests(30, ['answer', 'fail', 'answer', 'answer']);
    const counts = { held: 3, settled: 2, released: 1, refused: 1, abandoned: 1 };
    await keep('mixed', await begin([...mixed, ...one]), counts, ALL_STEPS);
  });

  it('of many items', async () => {
    const { begin } = await line();
    const prompts = Array.from({ length: 200 }, (_, index) => (index % 10 === 0 ? 'fail' : `take ${index % 7}`));
    const counts = { held: 150, settled: 135, released: 15, refused: 50 };
    await keep('many-items', await begin(await requests(1_500, prompts)), counts, ALL_STEPS);
  });

  it('whose ledger fails', async () => {
    const lost = () => Promise.reject(new Error('connection lost'));
    const down = await line({ ledger: (real) => ({ ...real, reserve: lost }) });
    await keep('reserve-failed', await down.begin(await requests(20, ['answer', 'answer'])), { abandoned: 2 }, [
      'reserveTokens',
      'releaseHolds',
    ]);
    const mute = await line({ ledger: (real) => ({ ...real, reserve: (...args) => real.reserve(...args).then(lost) }) });
    await keep('reserve-unknown', await mute.begin(await requests(10, ['answer', 'answer'])), { held: 1, released: 1, abandoned: 1 }, [
      'reserveTokens',
      'releaseHolds',
      'publishUsage',
    ]);
    let failures = 3;
    const flaky = await line({ usage: (real) => ({ publish: (events) => (failures-- > 0 ? lost() : real.publish(events)) }) });
    await keep('usage-late', await flaky.begin(await requests(10, ['answer'])), { held: 1, settled: 1 }, ALL_STEPS);
  });

  it('that take longer than a workflow task, left alone, cancelled and terminated', async () => {
    const { begin } = await line();
    const start = async () => begin(await requests(10, ['take 14000']));
    const [patient, cancelled, terminated] = await Promise.all([start(), start(), start()]);
    const isOpen = (types: string[]) => types.at(-1) === 'WORKFLOW_TASK_STARTED';
    // The reserve step is in their histories by then, and each is at the provider, on a workflow task that heartbeats.
    for (const each of [patient, cancelled, terminated]) await until(each, (types) => types.includes('MARKER_RECORDED') && isOpen(types));
    await Promise.all([cancelled.cancel(), terminated.terminate('recorded')]);
    const heartbeats = await keep('long-call', patient, { held: 1, settled: 1 }, ALL_STEPS);
    assert.ok(eventTypesOf(heartbeats).filter((type) => type === 'WORKFLOW_TASK_COMPLETED').length >= 2, 'it heartbeats');
    const unmoved = await keep('cancel-ignored', cancelled, { held: 1, settled: 1 }, ALL_STEPS);
    assert.ok(eventTypesOf(unmoved).includes('WORKFLOW_EXECUTION_CANCEL_REQUESTED'));
    const ended = await terminated.fetchHistory();
    assert.deepEqual(localActivitiesOf(ended), ['reserveTokens']);
    saveHistory('consumption-terminated', ended);
  });

  it('that another process takes over after kill -9', async () => {
    const taskQueue = `record-${v7()}`;
    const batches = {
      keyed: [v7(), await requests(20, ['answer', 'take 60000'], { keyed: true })],
      keyless: [v7(), await requests(20, ['take 60000', 'take 60000'])],
    } satisfies Record<string, [string, ConsumptionRequest[]]>;
    const { keyed, keyless } = batches;
    const argument = JSON.stringify(Object.fromEntries([keyed, keyless]));
    const args = [database().url, temporal().address, taskQueue, argument];
    const child = fork(path.join(import.meta.dirname, 'doomed-worker.js'), args, { stdio: 'ignore' });
    children.push(child);
    // The reserve step is in the history by then, and the batch is at the provider.
    for (const [batchId] of [keyed, keyless]) await until(handleOf(batchId), (types) => types.includes('MARKER_RECORDED'), true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    // The survivor's provider must not keep the recording for as long as the dead one's would have.
    await database().pool.query(`UPDATE consumptions SET request = jsonb_set(request, '{prompt}', '"answer"')`);
    const survivor = await line({}, taskQueue);
    await keep('taken-over-keyed', handleOf(keyed[0]), { held: 2, settled: 2 }, ALL_STEPS);
    await keep('taken-over-keyless', handleOf(keyless[0]), { held: 2, released: 2 }, ALL_STEPS);
    const gone = await survivor.begin(await requests(20, ['answer', 'answer']), { forgotten: true });
    await keep('abandoned', gone, { abandoned: 2 }, ['reserveTokens']);
  });

  it('that another process takes over before anything is in the history', async () => {
    const taskQueue = `record-${v7()}`;
    const batch = await requests(20, ['take 60000', 'take 60000']);
    const batchId = v7();
    const args = [database().url, temporal().address, taskQueue, JSON.stringify({ [batchId]: batch })];
    const child = fork(path.join(import.meta.dirname, 'doomed-worker.js'), args, { stdio: 'ignore' });
    children.push(child);
    await untilHeld(batch);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await line({}, taskQueue);
    const history = await keep('rows-found', handleOf(batchId), { held: 2, released: 2 }, ALL_STEPS);
    assert.ok(eventTypesOf(history).includes('WORKFLOW_TASK_TIMED_OUT'));
  });

  async function untilHeld(batch: readonly ConsumptionRequest[]) {
    const ids = batch.map(({ id }) => id);
    const held = async () => {
      const { rowCount } = await database().pool.query(`SELECT 1 FROM consumptions WHERE id = ANY($1) AND state = 'HELD'`, [ids]);
      return rowCount === ids.length;
    };
    await eventually('the batch is held', held, PATIENCE_MS);
  }

  function until(handle: ReturnType<typeof handleOf>, fits: (types: string[]) => boolean, unborn = false) {
    const cameSoFar = async () => {
      const history = await handle.fetchHistory().catch((error: unknown) => {
        if (unborn) return null;
        throw error;
      });
      return history !== null && fits(eventTypesOf(history));
    };
    return eventually('the history has come so far', cameSoFar, PATIENCE_MS);
  }
});
