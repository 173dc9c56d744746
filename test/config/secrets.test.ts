import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import pg from 'pg';
import { createLogger } from '../../telemetry/log.js';
import { hideSecrets } from '../../telemetry/redaction.js';
import { call, ownAddress, type CallOptions } from '../e2e/http.js';
import { startStripeStandIn, type StripeStandIn } from '../purchase/stripe-stand-in.js';
import { eventually } from '../support/eventually.js';
import { startSystem, type System } from '../support/system.js';

const fresh = (prefix = '') => prefix + randomBytes(18).toString('base64url');

describe('a log line', () => {
  const written = (log: (logger: ReturnType<typeof createLogger>) => void): string => {
    const destination = new PassThrough();
    log(createLogger('trace', {}, destination));
    const line = String(destination.read());
    assert.doesNotThrow(() => JSON.parse(line) as unknown, line);
    return line;
  };

  it('shows no configured secret, wherever it stands and however it is written', () => {
    const secret = `pass"w\\ord ${fresh()}`;
    hideSecrets([secret]);
    const line = written((log) =>
      log.error({ err: new Error(`at ${encodeURIComponent(secret)}`), deep: [{ er: { text: secret } }] }, secret),
    );
    assert.equal(line.match(/\[redacted\]/g)?.length, 4, 'message, stack, member, text');
    assert.ok(!line.includes(secret.slice(-24)), line);
  });

  it('shows no member that is called a secret, at any depth, and keeps the rest', () => {
    const line = written((log) =>
      log.info({ a: { b: { password: 'hu"sh', userName: 'ada' } }, rawKey: 'hush', headers: { authorization: 'hush' } }),
    );
    assert.doesNotMatch(line, /hu.{0,2}sh/);
    assert.match(line, /"password":"\[redacted\]","userName":"ada"/);
  });

  it('shows nothing that is a secret by its form', () => {
    const forms = [
      `leaky_01234567-89ab-cdef-0123-456789abcdef_${'0'.repeat(48)}`,
      'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl',
      'sk_test_51Habcdefgh',
      'Bearer anything.at-all',
    ];
    for (const form of forms) assert.ok(!written((log) => log.info(`it was ${form}, sadly`)).includes(form), form);
    assert.match(
      written((log) => log.info('postgres://leaky:hush@db:5432/leaky')),
      /postgres:\/\/leaky:\[redacted\]@db:5432\/leaky/,
    );
  });
});

describe('all logs of the whole system at level trace', function () {
  this.timeout(180_000);
  const secrets = new Map<string, string>();
  const secret = (name: string, value: string): string => {
    secrets.set(name, value);
    return value;
  };
  let stripe: StripeStandIn;
  let system: System;

  before(async () => {
    stripe = await startStripeStandIn();
    system = await startSystem({
      environment: {
        LEAKY_LOG_LEVEL: 'trace',
        LEAKY_ACCESS_LOG: 'trace',
        LEAKY_ADMIN_USERNAME: 'root',
        LEAKY_ADMIN_PASSWORD: secret('admin password', fresh()),
        LEAKY_MASTER_KEY: secret('master key', randomBytes(32).toString('hex')),
        LEAKY_OPENAI_API_KEY: secret('OpenAI key', fresh()),
        LEAKY_GEMINI_API_KEY: secret('Gemini key', fresh()),
        LEAKY_QWEN_API_KEY: secret('Qwen key', fresh()),
        LEAKY_PAYMENTS: 'stripe',
        LEAKY_STRIPE_API_KEY: secret('Stripe key', fresh('sk_test_')),
        LEAKY_STRIPE_BASE_URL: stripe.baseUrl,
        LEAKY_PAYLOAD_KEYS: `k1:${secret('payload key', randomBytes(32).toString('hex'))}`,
        LEAKY_CODEC_TOKEN: secret('codec token', fresh()),
      },
    });
    secret('database password', new URL(system.postgresUrl).password);
    const generated = JSON.parse(readFileSync(path.join(system.dataDir, 'secrets.json'), 'utf8')) as Record<string, string>;
    secret('generated master key', generated['masterKey'] ?? '');
    secret('generated admin password', generated['adminPassword'] ?? '');
  });
  after(() => system?.stop());
  after(() => stripe?.close());

  it('hold none of the secrets that the run used', async () => {
    await drive();
    await breakDatabaseConnections(system.postgresUrl);
    await eventually('it has recovered', async () => (await request('GET', '/health/ready')).status === 200);
    await eventually('the lost connections are logged', () => logs().some(({ text }) => /terminat/.test(text)));
    await system.stop();

    const found = logs().flatMap(({ name, text }) =>
      [...secrets].filter(([, value]) => formsOf(value).some((form) => text.includes(form))).map(([kind]) => `${kind} in ${name}`),
    );
    assert.deepEqual(found, []);
    assert.ok(secrets.size >= 20, 'it was looked for many');
    assert.match(
      logs()
        .map(({ text }) => text)
        .join(),
      new RegExp(MARK),
      'the requests of this test are in the logs',
    );
  });

  const request = (method: string, target: string, options: CallOptions = {}) =>
    call(system.gateway, method, target, { ...options, headers: { 'X-Correlation-Id': MARK, ...options.headers } });

  /** Accounts, keys, consumptions and purchases that succeed, and that fail in every way there is. */
  async function drive(): Promise<void> {
    const password = secret('user password', fresh());
    const username = `ada-${fresh().slice(0, 8)}`;
    const account = { username, email: `${username}@example.com`, password };
    const { body: ada } = await request('POST', '/api/v1/auth/register', { body: account });
    secret('token of the registration', ada.token);
    await request('POST', '/api/v1/auth/register', { body: account });
    await request('POST', '/api/v1/auth/register', { body: { ...account, email: 'none', password: secret('refused password', fresh()) } });
    await request('POST', '/api/v1/auth/login', { raw: `{"username":"ada","password":"${secret('password in broken JSON', fresh())}"` });
    await request('GET', `/api/v1/auth/login?password=${secret('password in an address', fresh())}`);
    await request('POST', '/api/v1/auth/login', { body: { username, password: secret('wrong password', fresh()) } });
    const login = await request('POST', '/api/v1/auth/login', { body: { username, password } });
    const token = secret('token of the login', login.body.token);
    const admin = await request('POST', '/api/v1/auth/login', { body: { username: 'root', password: secrets.get('admin password') } });
    secret('token of the administrator', admin.body.token);

    const made = await request('POST', '/api/v1/auth/api-keys', { token, body: { userId: ada.userId, name: 'one' } });
    const key = secret('API key', made.body.rawKey);
    const rotated = await request('POST', `/api/v1/auth/api-keys/${made.body.id}/rotate`, { token, body: { graceSeconds: 60 } });
    secret('rotated API key', rotated.body.rawKey);
    await request('POST', '/api/v1/auth/signing-keys/rotate', { token: admin.body.token });
    const owned = `userId=${ada.userId}&provider=openai`;
    await request('GET', `/api/v1/tokens/quota?${owned}&key=${key}`, { key });
    await request('GET', `/api/v1/tokens/${key}`, { token: key });
    await request('GET', `/api/v1/tokens/quota?${owned}`, { token: secret('forged token', `${token.slice(0, -6)}AAAAAA`) });
    await request('GET', `/api/v1/tokens/quota?${owned}`, { headers: { Authorization: `Basic ${secret('basic credentials', fresh())}` } });

    const buy = (paymentMethod: string) =>
      request('POST', '/api/v1/tokens/purchase', {
        token,
        body: { userId: ada.userId, provider: 'openai', tokens: 100_000, paymentMethod },
      });
    stripe.failAfter.set('/capture', 1);
    const sagas = [await buy('pm_card_visa'), await buy('pm_card_chargeDeclined')];
    assert.deepEqual(
      sagas.map(({ status }) => status),
      [202, 202],
    );
    for (const { body } of sagas) {
      await eventually('the purchase has ended', async () => {
        const saga = await request('GET', `/api/v1/tokens/purchase/${body.sagaId}`, { token });
        return ['COMPLETED', 'FAILED'].includes(saga.body.status);
      });
    }
    for (const prompt of ['hello', '[stub:fail]', '[stub:status=401]', '[stub:hang]', '[stub:cut]', '[stub:nonsense]']) {
      for (const provider of ['openai', 'gemini', 'qwen']) {
        await request('POST', '/api/v1/tokens/consume', { key, body: { userId: ada.userId, provider, tokens: 10, prompt } });
      }
    }
    await request('DELETE', `/api/v1/auth/api-keys?userId=${ada.userId}&apiKeyId=${made.body.id}`, { token });
    await request('GET', `/api/v1/tokens/quota?${owned}`, { key, headers: { 'X-Forwarded-For': ownAddress() } });
  }

  /** What was printed, and every file of the data folder that is no database and not the file of the secrets. */
  function logs(): { name: string; text: string }[] {
    const files = readdirSync(system.dataDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .filter((file) => file.endsWith('.log') || !/[/\\](postgres|temporal)[/\\]|secrets\.json$/.test(file.slice(system.dataDir.length)));
    assert.ok(files.length >= 3, `the logs of the program, of PostgreSQL and of Temporal: ${files.join()}`);
    return [{ name: 'the terminal', text: system.printed() }, ...files.map((name) => ({ name, text: readFileSync(name, 'utf8') }))];
  }
});

const MARK = `mark-${randomBytes(6).toString('hex')}`;

const formsOf = (value: string) => [value, encodeURIComponent(value), Buffer.from(value).toString('base64').replace(/=+$/, '')];

async function breakDatabaseConnections(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user');
  await client.end();
}
