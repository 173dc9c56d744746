import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { explainFolderFault, onDataFolder } from '../../embedded/data-folder.js';
import { lockDataDir } from '../../embedded/lock.js';
import { disownPostmasterPid } from '../../embedded/postmaster-pid.js';
import { startPostgres } from '../../embedded/postgres.js';
import { freePort } from '../../embedded/ports.js';
import { loadSecrets } from '../../embedded/secrets.js';
import { distRoot } from '../../root.js';
import { temporaryFolder } from '../support/servers.js';

const AS_ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;

describe('the data folder', function () {
  this.timeout(60_000);
  const parent = temporaryFolder('data-folder');
  const newFolder = () => mkdtempSync(path.join(parent, 'data-'));

  it('that is a file says so in one line', async () => {
    const file = path.join(newFolder(), 'data');
    writeFileSync(file, '');
    await assert.rejects(lockDataDir(file), {
      name: 'StartError',
      message: /^The data folder .* cannot be used \(\w+ at .*\): .*LEAKY_DATA_DIR=<folder>\.$/,
    });
    await assert.rejects(lockDataDir(path.join(file, 'below')), { name: 'StartError', message: /part of that path is a file/ });
  });

  it('of another user, or read-only, says who owns it and what to do', async () => {
    const folder = newFolder();
    const message = /cannot be used \((?:EACCES|EPERM) at .*(?:belongs to user id 0|may not be written).*chown -R.*LEAKY_DATA_DIR/;
    if (!AS_ROOT) {
      chmodSync(folder, 0o555);
      await assert.rejects(lockDataDir(folder), { name: 'StartError', message });
      chmodSync(folder, 0o755);
      return;
    }
    const module = pathToFileURL(path.join(distRoot, 'embedded/lock.js')).href;
    // Root may write anywhere, so another user tries: by the paths that were open before it became that user.
    const program = `
      const { lockDataDir } = await import('${module}');
      process.setgid(${NOBODY}); process.setuid(${NOBODY});
      await lockDataDir(process.argv[1]).catch((error) => console.log(error.name, error.message));`;
    const foreign = mkdtempSync(path.join(tmpdir(), 'leaky-foreign-'));
    chmodSync(foreign, 0o755);
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program, foreign]);
    assert.match(stdout.toString(), message, stderr.toString());
    assert.match(stdout.toString(), /^StartError/);
  });

  it('on a full or read-only file system says that', () => {
    const fault = (code: string) => Object.assign(new Error(code), { code, path: '/data/x/lock.json.1' });
    assert.match(explainFolderFault('/data/x', fault('ENOSPC'))?.message ?? '', /disk is full/);
    assert.match(explainFolderFault('/data/x', fault('EROFS'))?.message ?? '', /read-only/);
    assert.equal(explainFolderFault('/data/y', fault('EROFS')), null);
  });

  it('leaves other errors as they are', async () => {
    await assert.rejects(
      onDataFolder('/data/x', () => Promise.reject(new TypeError('ours'))),
      TypeError,
    );
  });

  it('with secrets that cannot be read does not call them damaged', () => {
    const folder = newFolder();
    spawnSync('mkdir', [path.join(folder, 'secrets.json')]);
    assert.throws(() => loadSecrets(folder), /EISDIR/);
  });

  describe('with a postmaster.pid of a server that was killed', () => {
    // Not before: while the files are loaded nobody knows how much later its turn comes.
    let other: ChildProcess;
    before(() => (other = spawn('sleep', ['600'], { stdio: 'ignore' })));
    after(() => other.kill());
    const pidFile = (folder: string, pid: number) => writeFileSync(path.join(folder, 'postmaster.pid'), `${pid}\n${folder}\n1\n5439\n`);
    const pidIn = (folder: string) => Number(readFileSync(path.join(folder, 'postmaster.pid'), 'utf8').split('\n')[0]);

    it('whose number another program has by now, gives the number up and keeps the rest', () => {
      const folder = newFolder();
      pidFile(folder, other.pid ?? 0);
      assert.equal(disownPostmasterPid(folder), true);
      assert.notEqual(pidIn(folder), other.pid);
      assert.match(readFileSync(path.join(folder, 'postmaster.pid'), 'utf8'), new RegExp(`\n${folder}\n1\n5439\n$`));
      assert.equal(disownPostmasterPid(folder), false);
    });

    it('whose number is dead, or is that of a server on it, leaves it alone', () => {
      const folder = newFolder();
      assert.equal(disownPostmasterPid(folder), false);
      pidFile(folder, 2 ** 22 - 1);
      assert.equal(disownPostmasterPid(folder), false);
      const server = spawn('sleep', ['60'], { stdio: 'ignore', cwd: folder });
      pidFile(folder, server.pid ?? 0);
      assert.equal(disownPostmasterPid(folder), false);
      server.kill();
    });

    it('starts all the same', async () => {
      const dataDir = newFolder();
      const options = { dataDir, password: 'a password of the test', fsync: false };
      const first = await startPostgres({ ...options, port: await freePort() });
      await first.child.stop();
      pidFile(path.join(dataDir, 'postgres'), other.pid ?? 0);
      const second = await startPostgres({ ...options, port: await freePort() });
      await second.child.stop();
    });
  });
});
