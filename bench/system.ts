import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../embedded/ports.js';
import { distRoot, projectRoot } from '../root.js';

const PORTS = [
  'GATEWAY',
  'AUTH',
  'TOKENS',
  'ANALYTICS',
  'STUB_QWEN',
  'STUB_GEMINI',
  'STUB_OPENAI',
  'POSTGRES',
  'TEMPORAL',
  'TEMPORAL_UI',
] as const;
const READY_TIMEOUT_MS = 120_000;
const ADMIN = { LEAKY_ADMIN_USERNAME: 'bench-admin', LEAKY_ADMIN_PASSWORD: 'bench-admin-password' };

export interface BenchSystem {
  url: (service: (typeof PORTS)[number]) => string;
  admin: { username: string; password: string };
  /** For another process on the same database and Temporal server */
  environment: Record<string, string>;
  start(program: string, args: string[], environment: Record<string, string>, readyWhen: RegExp): Promise<ChildProcess>;
  stop(): Promise<void>;
}

/** `leaky start` in a process of its own, on free ports and a throw-away data folder. */
export async function startBenchSystem(settings: Record<string, string>): Promise<BenchSystem> {
  const parent = path.join(projectRoot, '.cache');
  mkdirSync(parent, { recursive: true });
  const dataDir = mkdtempSync(path.join(parent, 'bench-'));
  const ports = new Map<string, number>();
  for (const name of PORTS) ports.set(name, await freePort());
  const portOf = (name: (typeof PORTS)[number]) => ports.get(name) ?? 0;
  const own = Object.fromEntries(PORTS.map((name) => [`LEAKY_${name}_PORT`, String(portOf(name))]));
  const children: ChildProcess[] = [];

  const start: BenchSystem['start'] = async (program, args, environment, readyWhen) => {
    const child = spawn(process.execPath, [path.join(distRoot, program), ...args], {
      env: { ...process.env, npm_lifecycle_event: 'start', ...own, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await printed(child, readyWhen);
    return child;
  };
  const stop = async () => {
    for (const child of children.splice(0).reverse()) await ended(child);
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await start('leaky.js', ['start'], { ...settings, ...ADMIN, LEAKY_DATA_DIR: dataDir }, /is ready/);
  } catch (error) {
    await stop();
    throw error;
  }
  const { postgresPassword } = JSON.parse(readFileSync(path.join(dataDir, 'secrets.json'), 'utf8')) as { postgresPassword: string };
  return {
    url: (service) => `http://127.0.0.1:${portOf(service)}`,
    admin: { username: ADMIN.LEAKY_ADMIN_USERNAME, password: ADMIN.LEAKY_ADMIN_PASSWORD },
    environment: {
      LEAKY_POSTGRES_URL: `postgres://leaky:${postgresPassword}@127.0.0.1:${portOf('POSTGRES')}/leaky`,
      LEAKY_TEMPORAL_ADDRESS: `127.0.0.1:${portOf('TEMPORAL')}`,
    },
    start,
    stop,
  };
}

function printed(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`not ready in ${READY_TIMEOUT_MS / 1000} s`)), READY_TIMEOUT_MS);
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (!pattern.test(text)) return;
      clearTimeout(timer);
      resolve();
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`it ended with ${code}`));
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  return gone;
}
