import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { spawnGuarded } from '../../embedded/child.js';
import { distRoot } from '../../root.js';
import { eventually, isRunning } from '../support/eventually.js';
import { temporaryFolder } from '../support/servers.js';

const OBEDIENT = 'trap "echo closed; exit 0" TERM; echo $$; while :; do sleep 0.05; done';
const STUBBORN = 'trap "" TERM; echo $$; while :; do sleep 0.05; done';

describe('the watchdog of a child', function () {
  this.timeout(20_000);
  const folder = temporaryFolder('watchdog');
  let number = 0;
  const newLog = () => path.join(folder, `${++number}.log`);
  const linesOf = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').filter(Boolean) : []);
  const firstPid = async (file: string) => {
    await eventually('the child has started', () => linesOf(file).length > 0);
    return Number(linesOf(file)[0]);
  };

  function parentOf(script: string, logFile: string, graceSeconds: number): ChildProcess {
    const program = path.join(distRoot, 'test/embedded/guarded-parent.js');
    return spawn(process.execPath, [program, script, logFile, String(graceSeconds)], { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  it('gives the child its graceful signal when we are killed with -9, and goes with it', async () => {
    const log = newLog();
    const parent = parentOf(OBEDIENT, log, 10);
    const watchdog = await new Promise<number>((resolve) => parent.stdout?.once('data', (data: Buffer) => resolve(Number(data))));
    const child = await firstPid(log);
    parent.kill('SIGKILL');
    await eventually('child and watchdog are gone', async () => !(await isRunning(child)) && !(await isRunning(watchdog)));
    assert.deepEqual(linesOf(log).slice(1), ['closed']);
  });

  it('kills a child that does not obey when the grace is over', async () => {
    const log = newLog();
    const parent = parentOf(STUBBORN, log, 1);
    const child = await firstPid(log);
    parent.kill('SIGKILL');
    await eventually('the child is gone', async () => !(await isRunning(child)));
  });

  it('reports how the child ended, what it wrote last, and does not linger', async () => {
    const log = newLog();
    const child = await spawnGuarded({ ...optionsOf(log), args: ['-c', 'echo sorry >&2; exit 7'] });
    assert.equal(await child.ended, 'exit status 7');
    assert.equal(child.logTail(), 'sorry');
    await eventually('the watchdog is gone', async () => !(await isRunning(child.pid)));
  });

  it('keeps the child in a session of its own, where Ctrl-C of our terminal does not reach it', async () => {
    const log = newLog();
    const child = await spawnGuarded({ ...optionsOf(log), args: ['-c', OBEDIENT] });
    const session = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3];
    assert.notEqual(session(await firstPid(log)), session(process.pid));
    await child.stop();
    assert.deepEqual(linesOf(log).slice(1), ['closed']);
  });

  it('says what is wrong when the command does not exist', async () => {
    const child = await spawnGuarded({ ...optionsOf(newLog()), command: '/nowhere/postgres', args: [] });
    assert.equal(await child.ended, 'exit status 127');
    assert.match(child.logTail(), /\/nowhere\/postgres/);
  });

  const optionsOf = (logFile: string) =>
    ({
      name: 'the child',
      command: '/bin/sh',
      signal: 'TERM',
      graceSeconds: 10,
      logFile,
      env: { PATH: process.env.PATH },
      cwd: '/',
    }) as const;
});
