import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { v7 } from 'uuid';
import { readHistory } from '../../adapters/temporal/history-json.js';
import { loadConfig } from '../../config.js';
import { WORKFLOWS } from '../../contracts/temporal.js';
import { freePort } from '../../embedded/ports.js';
import { findTemporalCli } from '../../embedded/temporal-cli.js';
import { distRoot } from '../../root.js';
import { createWorker } from '../../workers/create-worker.js';
import { historiesFolder } from '../support/recording.js';
import { temporaryFolder } from '../support/servers.js';
import { withTemporal } from '../support/temporal.js';
import { changedBundle } from './changed-bundle.js';

const run = promisify(execFile);

describe('the command replay', function () {
  this.timeout(60_000);
  const temporal = withTemporal();
  const workflowId = `chain-${v7()}`;
  let firstRunId = '';
  let exported = '';

  async function leaky(args: string[], environment: Record<string, string> = {}) {
    const env = { PATH: '/usr/bin:/bin', LEAKY_TEMPORAL_ADDRESS: temporal().address, ...environment };
    const command = [path.join(distRoot, 'leaky.js'), 'replay', ...args];
    const { stdout, stderr, code } = await run(process.execPath, command, { env }).then(
      (outcome) => ({ ...outcome, code: 0 }),
      (error: { stdout: string; stderr: string; code: number }) => error,
    );
    return { code, text: stdout + stderr };
  }

  before('a chain of two runs, its first one exported by the Temporal CLI', async () => {
    const { client, connection, namespace, address } = temporal();
    let left = 14;
    const taskQueue = `replay-${v7()}`;
    const activities = { foldUsage: () => Promise.resolve({ count: 5, done: --left === 0 }) };
    const worker = await createWorker({ connection, namespace, taskQueue, activities, shutdownGraceMs: 1_000 });
    const handle = await client.workflow.start(WORKFLOWS.rollUpUsage, { taskQueue, workflowId });
    await handle.result();
    await worker.stop();
    firstRunId = handle.firstExecutionRunId;
    const { cacheDir, temporal: where } = loadConfig();
    const cli = await findTemporalCli({ explicit: where.cli, searchPath: where.searchPath, cacheDir, progress: () => undefined });
    const args = ['workflow', 'show', '--address', address, '--workflow-id', workflowId, '--run-id', firstRunId, '--output', 'json'];
    const { stdout } = await run(cli, [...args, '--disable-config-file', '--disable-config-env'], { maxBuffer: 1e8 });
    exported = path.join(temporaryFolder('replay'), 'exported.json');
    writeFileSync(exported, stdout);
  });

  it('ends with 0 for what the Temporal CLI exports, for a run on the server and for the recordings', async () => {
    const [file, latest, first, all] = await Promise.all([
      leaky([exported]),
      leaky([workflowId]),
      leaky([workflowId, '--run-id', firstRunId]),
      leaky([]),
    ]);
    assert.deepEqual([file.code, latest.code, first.code, all.code], [0, 0, 0, 0], JSON.stringify([file, latest, first, all]));
    assert.match(file.text, /^ok +exported\.json +rollUpUsage, 77 events\n1 replayed, 1 ok, 0 failed\n$/);
    assert.match(latest.text, /17 events/);
    assert.match(first.text, /77 events/);
    assert.match(all.text, /, 0 failed\n$/);
  });

  it('ends with 1 and says why when the workflow was changed carelessly', async () => {
    const { code, text } = await leaky([exported, '--bundle', await changedBundle()]);
    assert.equal(code, 1, text);
    assert.match(
      text,
      /^FAIL +exported\.json.*\n +the history has ActivityTaskScheduled \(event \d+\) where the code now wants: continue as new workflow\n/,
    );
  });

  it('ends with 2 and a sentence when there is nothing to replay', async () => {
    const nowhere = { LEAKY_TEMPORAL_ADDRESS: '', LEAKY_TEMPORAL_PORT: String(await freePort()) };
    const cases: [string[], RegExp, Record<string, string>?][] = [
      [['no-such-workflow'], /workflow not found for ID: no-such-workflow/],
      [[workflowId, '--run-id', v7()], /not found/],
      [['no/such/file.json'], /There is no file/],
      [[exported, '--run-id', firstRunId], /--run-id needs exactly one workflow id/],
      [[path.join(distRoot, 'package.json')], /no list of events/],
      [[workflowId], /No Temporal server answers at 127\.0\.0\.1:\d+ .*Run npm start/, nowhere],
    ];
    const outcomes = await Promise.all(cases.map(([args, , environment]) => leaky(args, environment)));
    for (const [index, { code, text }] of outcomes.entries()) {
      assert.equal(code, 2, text);
      assert.match(text, cases[index]?.[1] ?? /never/);
      assert.equal(text.trim().split('\n').length, 1, 'one line, no stack');
    }
  });
});

describe('a history file', () => {
  const text = readFileSync(path.join(historiesFolder, 'consumption-mixed.json'), 'utf8');
  const { events } = JSON.parse(text) as { events: Record<string, unknown>[] };
  const length = events.length;

  it('is read as recorded, as a bare list, as the HTTP API answers it and with the short names of older exports', () => {
    const pascal = (_: string, name: string) =>
      JSON.stringify(name.toLowerCase().replace(/(?:^|_)(.)/g, (__, letter: string) => letter.toUpperCase()));
    const short = text.replaceAll(/"(?:EVENT_TYPE|TASK_QUEUE_KIND)_([A-Z_]+)"/g, pascal);
    const forms = [text, JSON.stringify(events), JSON.stringify({ history: { events } }), short];
    for (const form of forms) assert.equal(readHistory(form).events?.length, length);
  });

  it('is refused with a reason when it is cut, reversed, decoded or something else', () => {
    const decoded = text.replace(/"payloads": \[[^\]]*\]/, '"payloads": [{ "batchId": "b" }]');
    const cases: [string, RegExp][] = [
      ['', /not JSON/],
      ['null', /no list of events/],
      ['{"events":[]}', /no events/],
      ['{"events":[{}]}', /as Temporal exports it/],
      [JSON.stringify({ events: events.slice(1) }), /numbered/],
      [JSON.stringify({ events: [...events].reverse() }), /reverse/],
      [decoded, /payloads have been decoded/],
    ];
    for (const [form, reason] of cases) assert.throws(() => readHistory(form), reason);
  });
});
