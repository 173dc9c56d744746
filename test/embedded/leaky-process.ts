import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../embedded/ports.js';
import { distRoot } from '../../root.js';
import { eventually, isRunning } from '../support/eventually.js';

const PORTS = [
  ...['GATEWAY', 'AUTH', 'TOKENS', 'ANALYTICS', 'STUB_QWEN', 'STUB_GEMINI', 'STUB_OPENAI'],
  ...['POSTGRES', 'TEMPORAL', 'TEMPORAL_UI'],
];
const READY_MS = 60_000;

/** The variables that let a whole system run beside others: ports nobody uses, and a folder of its own. */
export async function isolatedEnvironment(dataDir: string, overrides: NodeJS.ProcessEnv = {}): Promise<NodeJS.ProcessEnv> {
  const ports = new Set<number>();
  while (ports.size < PORTS.length) ports.add(await freePort());
  const chosen = [...ports].map((port, index) => [`LEAKY_${PORTS[index]}_PORT`, String(port)] as const);
  const { npm_lifecycle_event: _, ...inherited } = process.env;
  return { ...inherited, ...Object.fromEntries(chosen), LEAKY_DATA_DIR: dataDir, ...overrides };
}

export interface LeakyProcess {
  process: ChildProcess;
  gateway: string;
  /** What it has printed so far, both streams */
  output(): string;
  /** The exit code, or the name of the signal that ended it */
  ended: Promise<number | string>;
  /** Process ids of its children's watchdogs */
  watchdogs(): number[];
}

/** Runs `leaky start` in a process of its own, which may end at once: see `ready`. */
export function leakyStart(environment: NodeJS.ProcessEnv): LeakyProcess {
  const child = spawn(process.execPath, ['--enable-source-maps', path.join(distRoot, 'leaky.js'), 'start'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  // A test that fails half-way must not leave it running.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => {
      process.off('exit', kill);
      resolve(signal ?? code ?? -1);
    });
  });
  return {
    process: child,
    gateway: `http://127.0.0.1:${environment['LEAKY_GATEWAY_PORT']}`,
    output: () => output,
    ended,
    watchdogs() {
      const text = readFileSync(path.join(environment['LEAKY_DATA_DIR'] ?? '', 'lock.json'), 'utf8');
      return (JSON.parse(text) as { children: { pid: number }[] }).children.map(({ pid }) => pid);
    },
  };
}

/** @throws Error with what it printed when it ends instead */
export async function ready(leaky: LeakyProcess): Promise<void> {
  let end: number | string | undefined;
  void leaky.ended.then((code) => (end = code));
  const isReady = () => {
    if (end !== undefined) throw new Error(`It ended (${end}) instead of getting ready:\n${leaky.output()}`);
    return leaky.output().includes('is ready');
  };
  await eventually('the system is ready', isReady, READY_MS);
}

export async function allGone(pids: readonly number[]): Promise<void> {
  const noneLeft = async () => !(await Promise.all(pids.map((pid) => isRunning(pid)))).includes(true);
  await eventually('every child is gone', noneLeft, 30_000);
}
