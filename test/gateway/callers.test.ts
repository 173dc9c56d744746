import assert from 'node:assert/strict';
import { asUser, raw, startTestGateway, type TestGateway } from './support.js';

describe('gateway callers and headers', () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway();
  });
  after(() => gateway.close());

  const lastSeen = () => gateway.tokens.seen.at(-1)?.headers ?? {};

  it('passes a JWT on as it came', async () => {
    await fetch(`${gateway.url}/api/v1/tokens/quota`, { headers: asUser() });
    assert.equal(lastSeen().authorization, 'Bearer jwt-ada');
  });

  it('replaces an API key by the internal token', async () => {
    await fetch(`${gateway.url}/api/v1/tokens/quota`, { headers: { 'X-Api-Key': 'leaky_ada' } });
    assert.equal(lastSeen().authorization, 'Bearer internal-ada');
    assert.equal(lastSeen()['x-api-key'], undefined);
  });

  it('lets the auth service see the key it validates', async () => {
    await fetch(`${gateway.url}/api/v1/auth/api-keys/validate`, { headers: { 'X-Api-Key': 'leaky_ada' } });
    assert.equal(gateway.auth.seen.at(-1)?.headers['x-api-key'], 'leaky_ada');
  });

  it('passes public routes without credentials, and nothing else', async () => {
    for (const [method, path] of [
      ['POST', '/api/v1/auth/register'],
      ['POST', '/api/v1/auth/login'],
      ['GET', '/oauth2/jwks'],
      ['GET', '/api/v1/tokens/status'],
      ['GET', '/api/v1/tokens/prices'],
      ['GET', '/api/v1/analytics/health'],
    ] as const) {
      assert.equal((await fetch(gateway.url + path, { method })).status, 200, path);
    }
    for (const [method, path] of [
      ['GET', '/api/v1/tokens/quota'],
      ['POST', '/api/v1/tokens/consume'],
      ['POST', '/api/v1/tokens/status'],
      ['GET', '/api/v1/auth/orgs'],
      ['GET', '/v1/models'],
    ] as const) {
      const answer = await fetch(gateway.url + path, { method });
      assert.equal(answer.status, 401, path);
      assert.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8');
    }
  });

  it('strips identity headers in every spelling', async () => {
    const claims = [
      'X-User-Id',
      'X-User-Roles',
      'x-USER-anything',
      'X-Username',
      'X-Org-Id',
      'X-Internal-Caller',
      'X_User_Id',
      'X-Leaky-Admin',
    ];
    await fetch(`${gateway.url}/api/v1/tokens/quota`, {
      headers: { ...asUser(), ...Object.fromEntries(claims.map((name) => [name, 'root'])) },
    });
    assert.deepEqual(
      Object.entries(lastSeen()).filter(([, value]) => value === 'root'),
      [],
    );
  });

  it('says itself where a request came from, and does not believe the client', async () => {
    await fetch(`${gateway.url}/api/v1/tokens/quota`, {
      headers: { ...asUser(), 'X-Forwarded-For': '6.6.6.6', Forwarded: 'for=6.6.6.6', 'X-Forwarded-Proto': 'https' },
    });
    assert.equal(lastSeen()['x-forwarded-for'], '127.0.0.1');
    assert.equal(lastSeen()['x-forwarded-proto'], 'http');
    assert.equal(lastSeen()['x-forwarded-host'], `127.0.0.1:${gateway.port}`);
    assert.equal(lastSeen().forwarded, undefined);
  });

  it('drops hop-by-hop headers, and lets none of its own be named one', async () => {
    await raw(
      gateway.port,
      'GET /api/v1/tokens/quota HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer jwt-ada\r\nTE: trailers\r\nX-Hop: 1\r\n' +
        'X-Correlation-Id: mine\r\nConnection: close, x-hop, authorization, x-correlation-id\r\n\r\n',
    );
    assert.equal(lastSeen()['x-hop'], undefined);
    assert.equal(lastSeen().te, undefined);
    assert.equal(lastSeen().authorization, 'Bearer jwt-ada');
    assert.equal(lastSeen()['x-correlation-id'], 'mine');
  });

  it('takes or makes a correlation id, forwards it and returns it exactly once', async () => {
    gateway.tokens.handler = (_req, res) => res.setHeader('X-Correlation-Id', 'of-the-service').end('{}');
    for (const sent of ['mine-1', undefined, 'not acceptable: spaces', 'x'.repeat(65)]) {
      const answer = await fetch(`${gateway.url}/api/v1/tokens/quota`, {
        headers: { ...asUser(), ...(sent !== undefined && { 'X-Correlation-Id': sent }) },
      });
      const returned = answer.headers.get('x-correlation-id') ?? '';
      assert.match(returned, sent === 'mine-1' ? /^mine-1$/ : /^[0-9a-f-]{36}$/);
      assert.equal(lastSeen()['x-correlation-id'], returned);
    }
  });

  it('answers preflights and sends its own CORS and security headers once, whatever the service says', async () => {
    gateway.tokens.handler = (_req, res) => res.setHeader('Access-Control-Allow-Origin', 'https://service.example').end('{}');
    const answer = await fetch(`${gateway.url}/api/v1/tokens/quota`, { headers: { ...asUser(), Origin: 'https://app.example' } });
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.match(answer.headers.get('access-control-expose-headers') ?? '', /RateLimit-Policy/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    const preflight = await fetch(`${gateway.url}/api/v1/tokens/consume`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'X-Api-Key' },
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('access-control-allow-headers'), 'X-Api-Key');
  });
});

describe('gateway behind a trusted proxy', () => {
  it('continues the chain the proxy began', async () => {
    const gateway = await startTestGateway({ env: { LEAKY_TRUST_PROXY: 'loopback' } });
    await fetch(`${gateway.url}/api/v1/tokens/quota`, {
      headers: { ...asUser(), 'X-Forwarded-For': '9.9.9.9', 'X-Forwarded-Proto': 'https' },
    });
    const headers = gateway.tokens.seen.at(-1)?.headers;
    assert.equal(headers?.['x-forwarded-for'], '9.9.9.9, 127.0.0.1');
    assert.equal(headers?.['x-forwarded-proto'], 'https');
    await gateway.close();
  });
});
