import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { terminal } from '../../embedded/terminal-log.js';
import { FoldedLines } from '../../telemetry/folded-lines.js';
import { LogFile } from '../../telemetry/log-file.js';
import { metrics } from '../../telemetry/metrics.js';
import { temporaryFolder } from '../support/servers.js';

describe('the log', () => {
  const parent = temporaryFolder('log');
  const newFile = () => path.join(mkdtempSync(path.join(parent, 'log-')), 'leaky.log');
  const dropped = async () => (await metrics.logLinesDropped.get()).values[0]?.value ?? 0;

  it('becomes another file while it grows, and is bounded so', async () => {
    const file = newFile();
    const log = new LogFile(file, { keepBytes: 1_000, gatherBytes: 1 });
    for (let line = 0; line < 100; line++) {
      log.write(`${String(line).padStart(99, '0')}\n`);
      await log.flush();
    }
    log.flushSync();
    assert.ok(statSync(`${file}.1`).size <= 1_100, `${statSync(`${file}.1`).size} bytes are kept`);
    assert.ok((existsSync(file) ? statSync(file).size : 0) <= 1_100);
    assert.match(readFileSync(`${file}.1`, 'utf8'), /0099\n$/);
  });

  it('on a full disk loses lines beyond what may wait, counts them, says so, and goes on by itself when there is room', async () => {
    const file = newFile();
    symlinkSync('/dev/full', file);
    const log = new LogFile(file, { gatherBytes: 10, waitingBytes: 100, flushEveryMs: 5 });
    const before = await dropped();
    for (let line = 0; line < 30; line++) {
      log.write(`number ${line}\n`);
      await log.flush();
    }
    const lost = (await dropped()) - before;
    assert.ok(lost > 5 && lost < 30, `${lost} lines were dropped`);
    rmSync(file);
    log.write('room again\n');
    await log.flush();
    await log.flush();
    log.flushSync();
    const text = readFileSync(file, 'utf8');
    assert.match(text, /^number 0\nnumber 1\n/);
    assert.match(text, new RegExp(`(?:${lost}|${lost + 1}) log lines were dropped[^\n]*\n$`));
  });

  it('that somebody has removed is made anew', async () => {
    const file = newFile();
    const log = new LogFile(file, { gatherBytes: 1 });
    log.write('one\n');
    await log.flush();
    rmSync(path.dirname(file), { recursive: true });
    log.write('two\n');
    await log.flush();
    log.flushSync();
    assert.equal(readFileSync(file, 'utf8'), 'two\n');
  });

  it('on the terminal names what a line is about: purchase, activity, provider', () => {
    const shown: string[] = [];
    const stream = terminal((line) => shown.push(line));
    const line = { level: 40, msg: 'Activity failed', err: { message: 'no answer\n  at x' }, attempt: 3 };
    stream.write(JSON.stringify({ ...line, workflowId: 'purchase-17', sagaId: '17', activityType: 'capturePayment' }));
    stream.write(JSON.stringify({ level: 50, msg: 'the breaker opened', provider: 'qwen', correlationId: 'c-1' }));
    assert.deepEqual(shown, [
      'warning: Activity failed: no answer [purchase-17, activity capturePayment, attempt 3]',
      'error: the breaker opened [provider qwen, correlation c-1]',
    ]);
  });

  it('on the terminal folds a flood of lines that differ in ids and numbers only', () => {
    const folded: string[] = [];
    const lines = new FoldedLines({ shown: 2, windowMs: 1_000, onFolded: (count, example) => folded.push(`${count} of ${example}`) });
    const flood = (id: number) => `[TMPRL1104] 0a1b2c3d-0000-4000-8000-00000000000${id}:${id}:1 Workflow task duration exceeded 5 seconds.`;
    const passed = [1, 2, 3, 4, 5].filter((id) => lines.passes(flood(id), 0));
    assert.deepEqual(passed, [1, 2]);
    assert.equal(lines.passes('another line', 10), true);
    assert.equal(lines.passes(flood(6), 1_001), true, 'a new window shows the kind again');
    assert.deepEqual(folded, [`3 of ${flood(5)}`]);
  });
});
