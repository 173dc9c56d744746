import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { lockDataDir } from '../../embedded/lock.js';
import { temporaryFolder } from '../support/servers.js';

describe('the lock on a data folder', () => {
  const parent = temporaryFolder('lock');
  const newFolder = () => mkdtempSync(path.join(parent, 'data-'));
  const fileIn = (folder: string) => path.join(folder, 'lock.json');
  const ended = { pid: 2 ** 22, startedAt: '1' };

  it('refuses a second owner, naming the first one, and is free again after release', async () => {
    const folder = newFolder();
    const lock = await lockDataDir(folder);
    await assert.rejects(lockDataDir(folder), {
      name: 'StartError',
      message: new RegExp(`already running on ${folder} \\(process ${process.pid}\\)`),
    });
    lock.release();
    (await lockDataDir(folder)).release();
    assert.equal(existsSync(fileIn(folder)), false);
  });

  it('is no obstacle when its owner has died', async () => {
    const folder = newFolder();
    writeFileSync(fileIn(folder), JSON.stringify({ owner: ended, children: [ended] }));
    (await lockDataDir(folder)).release();
  });

  it('is no obstacle when its process id belongs to another process by now', async () => {
    const folder = newFolder();
    writeFileSync(fileIn(folder), JSON.stringify({ owner: { pid: process.pid, startedAt: '1' }, children: [] }));
    (await lockDataDir(folder)).release();
  });

  it('goes to one only when two find it stale', async () => {
    const folder = newFolder();
    writeFileSync(fileIn(folder), JSON.stringify({ owner: ended, children: [] }));
    const outcomes = await Promise.allSettled([lockDataDir(folder), lockDataDir(folder)]);
    assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ['fulfilled', 'rejected']);
  });

  it('waits for the children of an owner that has died', async () => {
    const folder = newFolder();
    const child = spawn('/bin/sh', ['-c', 'read line'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const first = await lockDataDir(folder);
    first.addChild(child.pid ?? 0);
    const content = JSON.parse(readFileSync(fileIn(folder), 'utf8')) as { children: unknown[] };
    writeFileSync(fileIn(folder), JSON.stringify({ ...content, owner: ended }));
    const steps: string[] = [];
    const second = lockDataDir(folder, () => {
      steps.push('waiting');
      child.stdin.end();
    }).then((lock) => {
      steps.push('locked');
      return lock;
    });
    await once(child, 'exit');
    steps.push('child ended');
    (await second).release();
    assert.deepEqual(steps, ['waiting', 'child ended', 'locked']);
  });

  const stale = { owner: ended, children: [] };
  for (const [what, text] of Object.entries({
    'ends in a new line': `${JSON.stringify(stale)}\n`,
    'was laid out anew': JSON.stringify(stale, null, 2),
    'has a member more': JSON.stringify({ ...stale, host: 'elsewhere' }),
    'names another program that has our number': JSON.stringify({ owner: { pid: process.pid, startedAt: null }, children: [] }),
  })) {
    it(`is no obstacle when its file ${what}`, async () => {
      const folder = newFolder();
      writeFileSync(fileIn(folder), text);
      (await lockDataDir(folder)).release();
      assert.equal(existsSync(fileIn(folder)), false);
    });
  }

  for (const [what, text] of Object.entries({
    'is not JSON': 'not JSON',
    'is empty': '',
    'is null': 'null',
    'has no owner': '{}',
    'names a process by a word': JSON.stringify({ owner: { pid: 'init', startedAt: null }, children: [] }),
    'names no process': JSON.stringify({ owner: { pid: 0, startedAt: null }, children: [] }),
    'is cut off': JSON.stringify(stale).slice(0, -5),
  })) {
    it(`says what to do when its file ${what}`, async () => {
      const folder = newFolder();
      writeFileSync(fileIn(folder), text);
      await assert.rejects(lockDataDir(folder), {
        name: 'StartError',
        message: `${fileIn(folder)} is damaged. If nothing runs on this folder, remove that file.`,
      });
    });
  }
});
