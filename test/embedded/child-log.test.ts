import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { spawnGuarded } from '../../embedded/child.js';
import { boundLog, tailOf } from '../../embedded/child-log.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/servers.js';

describe('the log of a child', function () {
  this.timeout(20_000);

  it('is bounded while the child writes it, and its end is known all the same', async () => {
    const file = path.join(mkdtempSync(path.join(temporaryFolder('child-log'), 'log-')), 'child.log');
    const child = await spawnGuarded({
      name: 'the child',
      command: '/bin/sh',
      args: ['-c', 'i=0; while :; do i=$((i+1)); echo "line $i of a child that has much to say"; done'],
      signal: 'TERM',
      graceSeconds: 5,
      logFile: file,
      env: { PATH: process.env.PATH },
      cwd: '/',
    });
    const stop = boundLog(file, { keepBytes: 200_000, everyMs: 2 });
    await eventually('it was cut and kept', () => statSync(`${file}.1`, { throwIfNoEntry: false }) !== undefined);
    const first = readFileSync(`${file}.1`, 'utf8').slice(0, 20);
    await eventually('it was cut again', () => readFileSync(`${file}.1`, 'utf8').slice(0, 20) !== first);
    await child.stop();
    await eventually('what is left is small', () => statSync(file).size <= 200_000);
    stop();
    assert.notEqual(tailOf(file, 10_000_000), '', 'what is written after a cut is the tail');
  });
});
