import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { loadConfig } from '../../config.js';
import { withSystem } from '../support/system.js';
import { Contract, timesSent, WAYS } from './contract.js';
import { assertProblem, call, ownAddress } from './http.js';
import { People, type Person } from './people.js';

const USAGE = '/api/v1/analytics/usage?provider=openai';

describe('the contract of the gateway', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let ada: Person;
  before(async () => {
    ada = await people.register();
  });

  it('has the defaults of the contract', () => {
    const { ports, gateway, bucket, providers, purchase, schedules, auth, flags } = loadConfig({});
    assert.deepEqual(ports, {
      gateway: 8080,
      auth: 8081,
      tokens: 8082,
      analytics: 8083,
      worker: 8084,
      stubs: { qwen: 8091, gemini: 8092, openai: 8093 },
    });
    assert.deepEqual(
      [gateway.rateLimit, gateway.bulkhead, gateway.bulkheadWaitMs, gateway.serviceTimeoutMs],
      [{ requests: 120, windowSeconds: 60 }, 100, 500, 5_000],
    );
    assert.deepEqual(bucket, { strategy: 'LEAKY_BUCKET', capacity: 1_000, leakPerSecond: 10 });
    assert.deepEqual([providers.timeoutMs, providers.attempts, providers.backoffMs], [5_000, 3, 1_000]);
    assert.deepEqual([purchase.limitSeconds, schedules.retentionDays, auth.tokenTtlSeconds], [600, 90, 3_600]);
    assert.deepEqual([auth.keyCacheSeconds, auth.keyCacheEntries], [300, 10_000]);
    assert.deepEqual(flags, { quotaEnforcement: true, sagaPurchases: true, rateLimiting: true, apiKeyValidation: true });
    assert.equal(auth.adminPassword, undefined);
  });

  it('limits a caller to 120 requests a minute, says so in every answer, and then answers 429 with Retry-After and the policy', async () => {
    const caller = await people.register();
    const ask = () => call(system().gateway, 'GET', USAGE, { token: caller.token });
    const first = await ask();
    assert.deepEqual([first.headers['x-ratelimit-limit'], first.headers['x-ratelimit-remaining']], ['120', '119']);
    const reset = Number(first.headers['x-ratelimit-reset']) - Date.now() / 1_000;
    assert.ok(reset > 0 && reset <= 61, String(reset));
    assert.equal(first.headers['ratelimit-policy'], '"default";q=120;w=60');
    assert.match(String(first.headers['ratelimit']), /^"default";r=119;t=\d+$/);
    const rest = await Promise.all(Array.from({ length: 130 }, ask));
    assert.equal(rest.filter(({ status }) => status === 200).length, 119);
    const refused = rest.find(({ status }) => status === 429);
    assert.ok(refused);
    assertProblem(refused, 429, 'RATE_LIMITED');
    assert.deepEqual([refused.body.policy, refused.body.limit, refused.headers['x-ratelimit-remaining']], ['default', 120, '0']);
    assert.ok(Number(refused.headers['retry-after']) >= 1 && Number(refused.headers['retry-after']) <= 60);
    assert.ok(Date.parse(refused.body.resetAt) > Date.now());
    assert.equal((await call(system().gateway, 'GET', USAGE, { token: ada.token })).status, 200, 'others are not limited by it');
  });

  it('counts all API keys and logins of one user together', async () => {
    const owner = await people.register();
    const [one, two] = await Promise.all([people.key(owner), people.key(owner)]);
    const remaining = async (key: string) => Number((await call(system().gateway, 'GET', USAGE, { key })).headers['x-ratelimit-remaining']);
    assert.deepEqual([await remaining(one.rawKey), await remaining(one.rawKey), await remaining(two.rawKey)], [119, 118, 117]);
    const login = await call(system().gateway, 'GET', USAGE, { token: owner.token });
    assert.equal(login.headers['x-ratelimit-remaining'], '116');
  });

  it('takes an API key in X-Api-Key and in place of the bearer token', async () => {
    const { rawKey } = await people.key(ada);
    for (const way of WAYS) {
      for (const credentials of [{ key: rawKey }, { token: rawKey }]) {
        assert.equal(
          (await contract.ask(way, 'GET', '/api/v1/analytics/usage', { ...credentials, query: { provider: 'openai' } })).status,
          200,
        );
      }
    }
  });

  for (const way of WAYS) {
    it(`takes a correlation id, makes one when it is missing or unfit, and returns it once, ${way}`, async () => {
      const ask = (headers: Record<string, string | string[]>) => contract.ask(way, 'GET', '/api/v1/tokens/status', { headers });
      const id = randomUUID();
      assert.equal((await ask({ 'X-Correlation-Id': id })).headers['x-correlation-id'], id);
      const made = await Promise.all([
        ask({}),
        ask({ 'X-Correlation-Id': 'with spaces' }),
        ask({ 'X-Correlation-Id': 'x'.repeat(65) }),
        ask({ 'X-Correlation-Id': '' }),
      ]);
      const ids = made.map(({ headers }) => String(headers['x-correlation-id']));
      for (const one of ids) assert.match(one, /^[0-9a-f-]{36}$/);
      assert.equal(new Set(ids).size, ids.length);
      const twice = await ask({ 'X-Correlation-Id': ['a', 'b'] });
      assert.equal(timesSent(twice, 'x-correlation-id'), 1);
    });

    it(`answers CORS preflights and sends security headers, ${way}`, async () => {
      const base = contract.baseOf(way, '/api/v1/tokens/consume');
      const headers = {
        Origin: 'https://app.example',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type,idempotency-key',
      };
      const preflight = await call(base, 'OPTIONS', '/api/v1/tokens/consume', { headers });
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers['access-control-allow-origin'], '*');
      assert.match(String(preflight.headers['access-control-allow-methods']), /POST/);
      assert.match(String(preflight.headers['access-control-allow-headers']), /idempotency-key/i);
      const answer = await call(base, 'GET', '/api/v1/tokens/status', { headers: { Origin: 'https://app.example' } });
      assert.match(String(answer.headers['access-control-expose-headers']), /X-RateLimit-Remaining/i);
      assert.equal(answer.headers['access-control-allow-credentials'], undefined);
      for (const name of [
        'strict-transport-security',
        'x-frame-options',
        'referrer-policy',
        'content-security-policy',
        'x-content-type-options',
      ]) {
        assert.equal(timesSent(answer, name), 1, name);
      }
    });
  }

  it('answers the fallback of each service with 503 in both forms, for any method, and 404 for no service', async () => {
    for (const service of ['auth-service', 'token-service', 'analytics-service']) {
      const { status, body, headers } = await call(system().gateway, 'GET', `/fallback/${service}`);
      assert.deepEqual([status, body.service, body.status], [503, service, 'unavailable']);
      assert.ok(body.message && body.timestamp && body.correlationId);
      assert.ok(Number(headers['retry-after']) >= 1);
    }
    assertProblem(await call(system().gateway, 'GET', '/fallback/nothing'), 404);
  });

  it('every service says that it lives and is ready, and counts', async () => {
    for (const service of ['gateway', 'auth', 'tokens', 'analytics'] as const) {
      for (const path of ['/health/live', '/health/ready']) {
        const { status, body } = await call(system()[service], 'GET', path);
        assert.deepEqual([status, body.status], [200, 'ok'], `${service} ${path}: ${JSON.stringify(body)}`);
      }
      const metrics = await call(system()[service], 'GET', '/metrics');
      assert.equal(metrics.status, 200);
      assert.match(metrics.text, /^# HELP /m);
    }
  });

  it('the stubs speak their real formats and the short one', async () => {
    const { stubs } = system();
    for (const provider of ['qwen', 'gemini', 'openai'] as const) {
      const { status, body } = await call(stubs[provider], 'POST', `/api/v1/${provider}/chat`, { body: { prompt: 'hello' } });
      assert.deepEqual([status, body.provider, Object.keys(body as object).sort()], [200, provider, ['id', 'message', 'provider']]);
    }
    const chat = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] };
    assert.equal((await call(stubs.openai, 'POST', '/v1/chat/completions', { token: 'any', body: chat })).body.object, 'chat.completion');
  });

  it('public routes need no caller, all others refuse without one before they look at anything else', async () => {
    const address = { 'X-Forwarded-For': ownAddress() };
    for (const path of ['/oauth2/jwks', '/api/v1/tokens/status', '/api/v1/analytics/health', '/openapi.json']) {
      assert.equal((await call(system().gateway, 'GET', path, { headers: address })).status, 200, path);
    }
    for (const way of WAYS) {
      for (const [method, path] of [
        ['POST', '/api/v1/tokens/consume'],
        ['POST', '/api/v1/tokens/purchase'],
        ['GET', '/api/v1/analytics/report'],
        ['GET', '/api/v1/auth/orgs'],
      ] as const) {
        const answer = await contract.ask(way, method, path, method === 'POST' ? { raw: '{' } : {});
        assert.ok([400, 401].includes(answer.status), `${path}: ${answer.status}`);
        if (way === 'through the gateway') assertProblem(answer, 401, 'UNAUTHENTICATED');
      }
    }
  });
});
