import { spawn, type ChildProcess } from 'node:child_process';

const READY_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 60_000;
const LAST_LINES = 15;
const KEEP_CHARACTERS = 8_000;

export interface ChildOptions {
  name: string;
  command: string;
  args: readonly string[];
  environment: NodeJS.ProcessEnv;
  cwd?: string;
  /** Resolves when the child can be used */
  ready: (printed: () => string) => Promise<boolean> | boolean;
  readyWithinMs?: number;
}

export interface Child {
  name: string;
  pid: number;
  /** The last of what it wrote */
  printed: () => string;
  stop(): Promise<void>;
}

/** Starts a program and waits until it is ready. @throws Error with what it wrote when it ends or is not ready in time */
export async function startChild(options: ChildOptions): Promise<Child> {
  const child = spawn(options.command, options.args, {
    env: options.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  let text = '';
  const keep = (chunk: Buffer) => (text = (text + chunk.toString('utf8')).slice(-KEEP_CHARACTERS));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let failure: string | null = null;
  child.once('error', (error) => (failure = error.message));
  child.once('exit', (code, signal) => (failure = `it ended with ${signal ?? code}`));
  const deadline = Date.now() + (options.readyWithinMs ?? READY_TIMEOUT_MS);
  while (!(await options.ready(() => text))) {
    if (failure === null && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    await ended(child);
    throw new Error(
      `${failure ?? 'it was not ready in time'}; its last words: ${text.trimEnd().split('\n').slice(-LAST_LINES).join('\n')}`,
    );
  }
  return { name: options.name, pid: child.pid ?? 0, printed: () => text, stop: () => ended(child) };
}

/** Ready as soon as the address answers at all. */
export const answering = (url: string) => async (): Promise<boolean> => {
  try {
    await (await fetch(url, { signal: AbortSignal.timeout(2_000) })).arrayBuffer();
    return true;
  } catch {
    // Not listening yet; whoever waits has a deadline.
    return false;
  }
};

export const saying =
  (pattern: RegExp) =>
  (printed: () => string): boolean =>
    pattern.test(printed());

/** The caller's environment without settings meant for a system of their own. */
export const cleanEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LEAKY_') || name === 'LEAKY_CACHE_DIR'));

function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  return gone.finally(() => clearTimeout(timer));
}
