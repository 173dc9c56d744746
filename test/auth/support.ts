import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createMemoryKeyRevocations } from '../../adapters/memory/key-revocations.js';
import { createMemoryLoginPoints } from '../../adapters/memory/login-points.js';
import { createAccounts } from '../../adapters/postgres/accounts.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { startAuth } from '../../api/auth/start.js';
import type { KeyRevocations } from '../../api/http/key-revocations.js';
import type { RunningServer } from '../../api/http/service.js';
import { loadConfig, type Config } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';

export const log = createLogger('silent');
export const PASSWORD = 'correct horse battery';
export const ADMIN = { username: 'root-admin', password: 'an admin password' };

/** Only what a test looks at; `body` is the parsed JSON, whatever it is. */
export interface Answer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests assert on the shape
  body: any;
  headers: Headers;
}

export interface CallOptions {
  body?: unknown;
  /** Sent as it is instead of `body` */
  raw?: string;
  token?: string;
  key?: string;
  headers?: Record<string, string>;
}

export interface AuthFixture {
  url: string;
  config: Config;
  pool: Database;
  databaseUrl: string;
  revocations: KeyRevocations;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** A fresh account; its name is unique. */
  register(): Promise<{ userId: string; username: string; token: string }>;
  adminToken(): Promise<string>;
  createKey(owner: { userId: string; token: string }, extra?: object): Promise<{ id: string; rawKey: string }>;
}

export const configOf = (environment: Record<string, string> = {}): Config =>
  loadConfig({ LEAKY_AUTH_PORT: '0', LEAKY_ADMIN_USERNAME: ADMIN.username, LEAKY_ADMIN_PASSWORD: ADMIN.password, ...environment });

/** The configuration another service would have: it knows where the auth service is. */
export const pointingAt = (config: Config, url: string): Config => ({ ...config, services: { ...config.services, auth: url } });

export async function call(url: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const text = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(text !== undefined && { 'content-type': 'application/json' }),
      ...(options.token && { authorization: `Bearer ${options.token}` }),
      ...(options.key && { 'x-api-key': options.key }),
      ...options.headers,
    },
    ...(text !== undefined && { body: text }),
  });
  const answer = await response.text();
  return { status: response.status, body: answer === '' ? null : JSON.parse(answer), headers: response.headers };
}

/** An auth service over real HTTP with a database of its own, for the enclosing `describe`. */
export function withAuth(environment: Record<string, string> = {}): () => AuthFixture {
  const database = withDatabase();
  let server: RunningServer | undefined;
  let fixture: AuthFixture | undefined;
  before('the auth service', async () => {
    const { pool, url: databaseUrl } = database();
    const revocations = createMemoryKeyRevocations();
    const config = configOf(environment);
    server = await startAuth({
      config,
      log,
      accounts: createAccounts(pool, config.auth.bounds),
      revocations,
      loginPoints: createMemoryLoginPoints(config.auth),
    });
    const url = `http://127.0.0.1:${server.port}`;
    fixture = { url, config: pointingAt(config, url), pool, databaseUrl, revocations, ...actions(url) };
  });
  after(async () => {
    await server?.close(1_000);
  });
  return () => {
    assert.ok(fixture);
    return fixture;
  };
}

function actions(url: string): Pick<AuthFixture, 'call' | 'register' | 'adminToken' | 'createKey'> {
  const here = (method: string, path: string, options?: CallOptions) => call(url, method, path, options);
  return {
    call: here,
    async register() {
      const username = `user-${randomBytes(6).toString('hex')}`;
      const { status, body } = await here('POST', '/api/v1/auth/register', {
        body: { username, email: `${username}@example.com`, password: PASSWORD },
      });
      assert.equal(status, 201, JSON.stringify(body));
      return body;
    },
    async adminToken() {
      const { body } = await here('POST', '/api/v1/auth/login', { body: ADMIN });
      return body.token;
    },
    async createKey({ userId, token }, extra = {}) {
      const { status, body } = await here('POST', '/api/v1/auth/api-keys', { token, body: { userId, name: 'test', ...extra } });
      assert.equal(status, 201, JSON.stringify(body));
      return body;
    },
  };
}

/** Every refusal has this shape, and none is a fault of the server. */
export function assertProblem(answer: Answer, status: number, code?: string): void {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  for (const member of ['type', 'title', 'status', 'detail', 'code', 'message', 'timestamp', 'path', 'correlationId']) {
    assert.ok(member in answer.body, `the problem has no "${member}"`);
  }
  assert.ok(!JSON.stringify(answer.body).includes('node_modules'), 'no stack trace');
  if (code) assert.equal(answer.body.code, code);
}

/** Asks until the condition holds; the deadline is the law under test. */
export const within = (ms: number, condition: () => Promise<boolean>): Promise<number> => eventually('the condition holds', condition, ms);
