import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { distRoot, projectRoot } from '../root.js';
import { cleanEnvironment, saying, startChild, type Child } from './children.js';

/** A running system that can be measured. A topology joins the benchmark by another function that makes one of these. */
export interface Target {
  gateway: string;
  auth: string;
  tokens: string;
  analytics: string;
  admin: { username: string; password: string };
  postgresUrl: string;
  /** For programs beside it, on the same database, Temporal server, keys and provider stubs */
  environment: NodeJS.ProcessEnv;
  /** Whose CPU and memory, with all processes below them, are the system's */
  processes: readonly { name: string; pid: number }[];
  stop(): Promise<void>;
}

const SERVICES = ['GATEWAY', 'AUTH', 'TOKENS', 'ANALYTICS', 'POSTGRES', 'TEMPORAL', 'TEMPORAL_UI'] as const;
const STUBS = ['STUB_QWEN', 'STUB_GEMINI', 'STUB_OPENAI'] as const;
const ADMIN = { username: 'bench-admin', password: 'bench-admin-password' };

/** Nothing of what is to be measured is refused. Everything else is as `npm start` has it. */
export const NO_LIMITS = {
  LEAKY_BUCKET_CAPACITY: '1000000000',
  LEAKY_BUCKET_LEAK_PER_SECOND: '1000000000',
  LEAKY_RATE_LIMIT_REQUESTS: '1000000000',
  LEAKY_GATEWAY_BULKHEAD: '100000',
  LEAKY_GATEWAY_BULKHEAD_SHARE: '1',
  LEAKY_GATEWAY_PROVIDER_CALLS: '100000',
  LEAKY_GATEWAY_PROVIDER_CALLS_SHARE: '1',
  LEAKY_PROVIDER_BULKHEAD: '100000',
  LEAKY_CONSUMPTIONS_IN_FLIGHT: '100000',
  LEAKY_JWT_TTL_SECONDS: '86400',
};

/** The provider stubs as a process of their own: their CPU is not the system's. */
export interface Stubs {
  openai: string;
  setLatency(ms: number): Promise<void>;
  environment: Record<string, string>;
  process: Child;
}

export async function startStubs(): Promise<Stubs> {
  const ports = await portsFor(STUBS);
  const process = await startLeaky('provider stubs', ['stubs'], { ...cleanEnvironment(), ...ports, LEAKY_LOG_LEVEL: 'info' }, /started/);
  const url = (name: (typeof STUBS)[number]) => `http://127.0.0.1:${ports[`LEAKY_${name}_PORT`]}`;
  return {
    openai: url('STUB_OPENAI'),
    process,
    environment: {
      LEAKY_OPENAI_BASE_URL: url('STUB_OPENAI'),
      LEAKY_GEMINI_BASE_URL: url('STUB_GEMINI'),
      LEAKY_QWEN_BASE_URL: url('STUB_QWEN'),
    },
    async setLatency(latencyMs) {
      const response = await fetch(`${url('STUB_OPENAI')}/control`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ latencyMs }),
      });
      if (!response.ok) throw new Error(`the stub answered ${response.status}`);
    },
  };
}

/** `leaky start` on free ports and a throw-away data folder, with the provider stubs outside. */
export async function startEmbedded(
  stubs: Stubs,
  settings: Record<string, string | undefined> = {},
  nodeFlags: string[] = [],
): Promise<Target> {
  const parent = path.join(projectRoot, '.cache');
  mkdirSync(parent, { recursive: true });
  const dataDir = mkdtempSync(path.join(parent, 'bench-'));
  const ports = await portsFor([...SERVICES, ...STUBS]);
  const port = (name: (typeof SERVICES)[number]) => ports[`LEAKY_${name}_PORT`] ?? '';
  const url = (name: (typeof SERVICES)[number]) => `http://127.0.0.1:${port(name)}`;
  const environment = { ...cleanEnvironment(), ...ports, ...NO_LIMITS, ...stubs.environment, ...settings };
  const own = {
    npm_lifecycle_event: 'start', // it ends when we do, however we end
    LEAKY_DATA_DIR: dataDir,
    LEAKY_ADMIN_USERNAME: ADMIN.username,
    LEAKY_ADMIN_PASSWORD: ADMIN.password,
  };
  const leaky = await startLeaky('leaky', ['start'], { ...environment, ...own }, /is ready/, nodeFlags).catch((error: unknown) => {
    rmSync(dataDir, { recursive: true, force: true });
    throw error;
  });
  const { postgresPassword } = JSON.parse(readFileSync(path.join(dataDir, 'secrets.json'), 'utf8')) as { postgresPassword: string };
  const postgresUrl = `postgres://leaky:${postgresPassword}@127.0.0.1:${port('POSTGRES')}/leaky`;
  return {
    gateway: url('GATEWAY'),
    auth: url('AUTH'),
    tokens: url('TOKENS'),
    analytics: url('ANALYTICS'),
    admin: ADMIN,
    postgresUrl,
    environment: { ...environment, LEAKY_POSTGRES_URL: postgresUrl, LEAKY_TEMPORAL_ADDRESS: `127.0.0.1:${port('TEMPORAL')}` },
    processes: [leaky],
    async stop() {
      await leaky.stop();
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

const startLeaky = (
  name: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
  ready: RegExp,
  nodeFlags: string[] = [],
): Promise<Child> =>
  startChild({
    name,
    command: process.execPath,
    args: [...nodeFlags, path.join(distRoot, 'leaky.js'), ...args],
    environment,
    cwd: projectRoot,
    ready: saying(ready),
  });

/** Below the range from which the system gives ports to outgoing connections: one of those could take a port before we listen on it. */
const LOWEST_PORT = 12_000;
const HIGHEST_PORT = 30_000;

async function portsFor(names: readonly string[]): Promise<Record<string, string>> {
  const found = new Set<number>();
  while (found.size < names.length) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    if (await isFree(port)) found.add(port);
  }
  return Object.fromEntries([...found].map((port, index) => [`LEAKY_${names[index]}_PORT`, String(port)]));
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
