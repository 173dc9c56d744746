import assert from 'node:assert/strict';
import { asUser, raw, startTestGateway, type TestGateway } from './support.js';

const get = (port: number, target: string, headers = '') =>
  raw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`);

describe('gateway routing', () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway({
      env: {
        LEAKY_GATEWAY_ROUTES: JSON.stringify({
          '/api/v1/tokens/legacy': {
            addRequestHeaders: { 'X-Added': 'yes' },
            removeRequestHeaders: ['X-Unwanted'],
            addResponseHeaders: { 'X-Answer-Added': 'yes' },
            removeResponseHeaders: ['X-Answer-Unwanted'],
            rewritePath: { from: '/api/v1/tokens/legacy', to: '/api/v1/tokens/modern' },
          },
        }),
      },
    });
  });
  after(() => gateway.close());

  for (const [path, service] of [
    ['/api/v1/auth/api-keys?userId=1', 'auth'],
    ['/oauth2/jwks', 'auth'],
    ['/api/v1/tokens/quota?userId=a%20b&provider=qwen', 'tokens'],
    ['/v1/models', 'tokens'],
    ['/api/v1/analytics/usage?provider=openai', 'analytics'],
  ] as const) {
    it(`sends ${path} unchanged to ${service}`, async () => {
      const answer = await fetch(gateway.url + path, { headers: asUser() });
      assert.equal(answer.status, 200);
      assert.equal(gateway[service].seen.at(-1)?.url, path);
    });
  }

  it('answers 404 as a problem for a path of no service', async () => {
    for (const path of ['/api/v1/nothing', '/api/v1/tokensX', '/', '/api/v1/auth/api-keys/exchange']) {
      const answer = await fetch(gateway.url + path, { headers: asUser() });
      assert.equal(answer.status, 404);
      assert.equal(((await answer.json()) as { code: string }).code, 'NOT_FOUND');
    }
  });

  for (const target of [
    '/api/v1/tokens/%zz',
    '//api/v1/tokens/status',
    '/api/v1//tokens/status',
    '/api/v1/tokens/..;/auth/api-keys',
    '/api/v1/tokens/status/../../auth/api-keys',
    '/api/v1/tokens/%2e%2e/auth/api-keys',
    '/api/v1/tokens/status%2f..%2fquota',
    '/api/v1/tokens/status\\..\\quota',
    '/api/v1/tokens/.',
    '/api/v1/tokens/a%00b',
    'http://elsewhere.example/api/v1/tokens/status',
    '/api/v1/tokens/status#x',
  ]) {
    it(`refuses the ambiguous path ${target} before any service sees it`, async () => {
      const before = gateway.tokens.seen.length + gateway.auth.seen.length;
      const answer = await get(gateway.port, target, 'Authorization: Bearer jwt-ada\r\n');
      assert.match(answer, /^HTTP\/1.1 400 /);
      assert.match(answer, /application\/problem\+json/);
      assert.equal(gateway.tokens.seen.length + gateway.auth.seen.length, before);
    });
  }

  it('answers broken HTTP with a problem document', async () => {
    const answer = await raw(gateway.port, 'NOT HTTP AT ALL\r\n\r\n');
    assert.match(answer, /^HTTP\/1.1 400 /);
    assert.match(answer, /"code":"INVALID_REQUEST"/);
    const large = await get(gateway.port, '/api/v1/tokens/status', `X-Large: ${'a'.repeat(40_000)}\r\n`);
    assert.match(large, /^HTTP\/1.1 431 /);
  });

  it('applies the rule of a route to its headers and path, and of no other route', async () => {
    gateway.tokens.handler = (_req, res) => res.setHeader('X-Answer-Unwanted', '1').end('{}');
    const ruled = await fetch(`${gateway.url}/api/v1/tokens/legacy/one?a=b`, { headers: { ...asUser(), 'X-Unwanted': '1' } });
    const seen = gateway.tokens.seen.at(-1);
    assert.equal(seen?.url, '/api/v1/tokens/modern/one?a=b');
    assert.equal(seen?.headers['x-added'], 'yes');
    assert.equal(seen?.headers['x-unwanted'], undefined);
    assert.equal(ruled.headers.get('x-answer-added'), 'yes');
    assert.equal(ruled.headers.get('x-answer-unwanted'), null);
    const other = await fetch(`${gateway.url}/api/v1/tokens/legacyX`, { headers: { ...asUser(), 'X-Unwanted': '1' } });
    assert.equal(gateway.tokens.seen.at(-1)?.headers['x-unwanted'], '1');
    assert.equal(other.headers.get('x-answer-unwanted'), '1');
  });

  it('serves health, metrics and documents itself', async () => {
    for (const path of ['/health/live', '/health/ready', '/metrics', '/openapi.json', '/docs/']) {
      const answer = await fetch(gateway.url + path);
      assert.equal(answer.status, 200, path);
      assert.equal(answer.headers.get('x-ratelimit-limit'), null);
      await answer.text();
    }
  });
});
