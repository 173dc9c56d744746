import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../embedded/ports.js';
import { distRoot, projectRoot } from '../../root.js';
import { atEnd, temporaryFolder } from './servers.js';

export interface System {
  /** Base URLs */
  gateway: string;
  auth: string;
  tokens: string;
  analytics: string;
  stubs: { qwen: string; gemini: string; openai: string };
  temporal: { address: string; ui: string };
  postgresUrl: string;
  admin: { username: string; password: string };
  dataDir: string;
  environment: Readonly<Record<string, string>>;
  /** Of the `leaky start` process */
  pid: number;
  /** What it wrote for the person who started it */
  printed(): string;
  /** Like Ctrl-C; resolves with the exit code once everything it started has ended */
  stop(): Promise<number | null>;
  /** Like kill -9 of the parent; its children end a moment later, which the next start on the folder waits for */
  kill9(): Promise<void>;
}

export interface SystemOptions {
  /** More variables, or other values of the ones chosen here */
  environment?: Record<string, string>;
  /** Starts on the data folder and the ports of a system that has ended */
  successorOf?: System;
}

const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
/** Of each test that uses the shared system: many requests, on a machine that may be busy */
const TEST_TIMEOUT_MS = 60_000;
const PORTS = [
  'LEAKY_GATEWAY_PORT',
  'LEAKY_AUTH_PORT',
  'LEAKY_TOKENS_PORT',
  'LEAKY_ANALYTICS_PORT',
  'LEAKY_STUB_QWEN_PORT',
  'LEAKY_STUB_GEMINI_PORT',
  'LEAKY_STUB_OPENAI_PORT',
  'LEAKY_POSTGRES_PORT',
  'LEAKY_TEMPORAL_PORT',
  'LEAKY_TEMPORAL_UI_PORT',
] as const;

const DEFAULTS = {
  // Callers of the tests choose their address with X-Forwarded-For, so that limits by address meet only whom they are to meet.
  LEAKY_TRUST_PROXY: 'loopback',
  // A provider that hangs is given up on in a second and not in eighteen.
  LEAKY_PROVIDER_TIMEOUT_MS: '500',
  LEAKY_PROVIDER_BACKOFF_MS: '20',
  LEAKY_PROVIDER_BREAKER_OPEN_MS: '1000',
  // For the parallel callers of one user, and the one administrator; the routes of analytics keep the limit of the contract.
  LEAKY_RATE_LIMIT_OVERRIDES: JSON.stringify({
    '/api/v1/tokens': { requests: 5_000, windowSeconds: 60 },
    '/api/v1/auth': { requests: 5_000, windowSeconds: 60 },
  }),
};

let shared: Promise<System> | undefined;

/** The one system of the mocha run, for tests that leave it as it was for others: users of their own, no changed settings. */
export function withSystem(): () => System {
  let system: System | undefined;
  before('the whole system', async function () {
    this.timeout(READY_TIMEOUT_MS + STOP_TIMEOUT_MS);
    system = await (shared ??= startSystem());
  });
  beforeEach(function () {
    this.currentTest?.timeout(TEST_TIMEOUT_MS);
  });
  return () => {
    assert.ok(system, 'the system exists only while tests run');
    return system;
  };
}

/**
 * `leaky start` as a user would run it, on free ports and a data folder of its own. It is stopped and its folder removed when
 * the mocha run ends, should the test not have done so; and should mocha be killed, it notices and ends by itself.
 */
export async function startSystem({ environment = {}, successorOf }: SystemOptions = {}): Promise<System> {
  const dataDir = successorOf?.dataDir ?? temporaryFolder('system');
  const env: Record<string, string> = {
    ...(successorOf?.environment ?? { ...DEFAULTS, ...(await freePorts()), LEAKY_DATA_DIR: dataDir }),
    ...environment,
  };
  const child = spawn(process.execPath, [path.join(distRoot, 'leaky.js'), 'start'], {
    cwd: projectRoot,
    // npm_lifecycle_event: it then watches its parent, which is mocha.
    env: { ...withoutSettings(process.env), npm_lifecycle_event: 'start', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const stop = () => end(child, ended, 'SIGTERM');
  atEnd(async () => void (await stop()));
  const printed = await ready(child, ended);
  return {
    ...addressesOf(env),
    ...secretsOf(dataDir, env),
    dataDir,
    environment: env,
    pid: child.pid ?? 0,
    printed,
    stop,
    kill9: async () => void (await end(child, ended, 'SIGKILL')),
  };
}

async function freePorts(): Promise<Record<string, string>> {
  const found = new Set<number>();
  while (found.size < PORTS.length) found.add(await freePort());
  return Object.fromEntries([...found].map((port, index) => [PORTS[index] ?? '', String(port)]));
}

/** What the person who runs the tests has set for a system of their own must not reach this one. */
const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('LEAKY_')));

/** Resolves with a reader of what it wrote so far, once it says that it is ready. @throws Error with what it wrote otherwise */
function ready(child: ChildProcess, ended: Promise<number | null>): Promise<() => string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = (why: string) => reject(new Error(`leaky start: ${why}\n${text}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`not ready in ${READY_TIMEOUT_MS / 1_000} s`);
    }, READY_TIMEOUT_MS);
    const read = (chunk: Buffer) => {
      text += chunk.toString('utf8');
      // The last of the curl lines: by then the whole message is there.
      if (!/analytics\/usage.*\n/.test(text)) return;
      clearTimeout(timer);
      resolve(() => text);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    void ended.then((code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}

async function end(child: ChildProcess, ended: Promise<number | null>, signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return ended;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  return ended.finally(() => clearTimeout(timer));
}

function addressesOf(env: Record<string, string>): Pick<System, 'gateway' | 'auth' | 'tokens' | 'analytics' | 'stubs' | 'temporal'> {
  const at = (name: (typeof PORTS)[number]) => `http://127.0.0.1:${env[name]}`;
  return {
    gateway: at('LEAKY_GATEWAY_PORT'),
    auth: at('LEAKY_AUTH_PORT'),
    tokens: at('LEAKY_TOKENS_PORT'),
    analytics: at('LEAKY_ANALYTICS_PORT'),
    stubs: { qwen: at('LEAKY_STUB_QWEN_PORT'), gemini: at('LEAKY_STUB_GEMINI_PORT'), openai: at('LEAKY_STUB_OPENAI_PORT') },
    temporal: { address: `127.0.0.1:${env.LEAKY_TEMPORAL_PORT}`, ui: at('LEAKY_TEMPORAL_UI_PORT') },
  };
}

/** The start printed the password at its first run only; it is the one in the file. */
function secretsOf(dataDir: string, env: Record<string, string>): Pick<System, 'admin' | 'postgresUrl'> {
  const secrets = JSON.parse(readFileSync(path.join(dataDir, 'secrets.json'), 'utf8')) as Record<string, string>;
  const { adminUsername = '', adminPassword = '', postgresPassword = '' } = secrets;
  return {
    admin: { username: adminUsername, password: adminPassword },
    postgresUrl: `postgres://leaky:${postgresPassword}@127.0.0.1:${env.LEAKY_POSTGRES_PORT}/leaky`,
  };
}
