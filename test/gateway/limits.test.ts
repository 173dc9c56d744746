import assert from 'node:assert/strict';
import { asUser, startTestGateway, type TestGateway, type TestGatewayOptions } from './support.js';

interface Refusal {
  code: string;
  policy: string;
  limit: number;
  used: number;
  resetAt: string;
}

describe('gateway rate limit', () => {
  let gateway: TestGateway;
  const start = async (options: TestGatewayOptions) => {
    gateway = await startTestGateway(options);
  };
  afterEach(() => gateway.close());

  const call = (path: string, headers: Record<string, string> = asUser()) => fetch(gateway.url + path, { headers });
  const statusesOf = async (calls: Promise<Response>[]) => {
    const counts: Record<number, number> = {};
    for (const answer of await Promise.all(calls)) {
      counts[answer.status] = (counts[answer.status] ?? 0) + 1;
      await answer.arrayBuffer();
    }
    return counts;
  };
  const many = (count: number, make: () => Promise<Response>) => Array.from({ length: count }, make);

  it('admits exactly 120 of 300 parallel requests', async function () {
    this.timeout(10_000);
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '120', LEAKY_GATEWAY_BULKHEAD_WAIT_MS: '10000' } });
    assert.deepEqual(await statusesOf(many(300, () => call('/api/v1/tokens/quota'))), { 200: 120, 429: 180 });
    assert.equal(gateway.tokens.seen.length, 120);
  });

  it('says the limit on every limited answer, and on a refusal what was violated', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '2' } });
    const first = await call('/api/v1/tokens/quota');
    assert.equal(first.headers.get('x-ratelimit-limit'), '2');
    assert.equal(first.headers.get('x-ratelimit-remaining'), '1');
    const reset = Number(first.headers.get('x-ratelimit-reset')) - Date.now() / 1000;
    assert.ok(reset > 58 && reset <= 61, `resets in ${reset} s`);
    assert.equal(first.headers.get('ratelimit-policy'), '"default";q=2;w=60');
    assert.match(first.headers.get('ratelimit') ?? '', /^"default";r=1;t=(59|60)$/);
    await call('/api/v1/tokens/quota');
    const refused = await call('/api/v1/tokens/quota');
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('x-ratelimit-remaining'), '0');
    assert.match(refused.headers.get('retry-after') ?? '', /^(59|60)$/);
    const body = (await refused.json()) as Refusal;
    assert.deepEqual([body.code, body.policy, body.limit, body.used], ['RATE_LIMITED', 'default', 2, 2]);
    assert.ok(new Date(body.resetAt).getTime() > Date.now());
  });

  it('counts all keys and logins of a user together, and addresses for themselves', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '1' } });
    assert.equal((await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada' })).status, 200);
    assert.equal((await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada_second' })).status, 429);
    assert.equal((await call('/api/v1/tokens/quota', asUser('ada'))).status, 429);
    assert.equal((await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_bob' })).status, 200);
    assert.equal((await call('/api/v1/tokens/status', {})).status, 200);
    assert.equal((await call('/api/v1/analytics/health', {})).status, 429);
  });

  it('counts a key that is bound to an organisation for its user and for the organisation', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '2' } });
    assert.deepEqual(await statusesOf(many(1, () => call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada_of_acme' }))), { 200: 1 });
    assert.deepEqual(await statusesOf(many(1, () => call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_bob_of_acme' }))), { 200: 1 });
    const refused = await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_cyd_of_acme' });
    assert.deepEqual([refused.status, refused.headers.get('x-ratelimit-remaining')], [429, '0']);
    assert.deepEqual(
      await statusesOf(many(2, () => call('/api/v1/tokens/quota', asUser('cyd')))),
      { 200: 2 },
      'a refused one counts nowhere',
    );
    assert.deepEqual(await statusesOf(many(2, () => call('/api/v1/tokens/quota', asUser('ada')))), { 200: 1, 429: 1 });
  });

  it('gives each key a limit below that of its user when it is to, and says the one that is nearest', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '3', LEAKY_RATE_LIMIT_KEY: 'api-key', LEAKY_RATE_LIMIT_KEY_REQUESTS: '2' } });
    const first = await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada' });
    assert.deepEqual([first.headers.get('x-ratelimit-limit'), first.headers.get('x-ratelimit-remaining')], ['2', '1']);
    assert.deepEqual(await statusesOf(many(3, () => call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada' }))), { 200: 1, 429: 2 });
    const second = await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada_second' });
    assert.deepEqual(
      [second.status, second.headers.get('x-ratelimit-limit'), second.headers.get('x-ratelimit-remaining')],
      [200, '3', '0'],
    );
    assert.equal((await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_ada_second' })).status, 429, 'a second key is no second limit');
  });

  it('counts requests without credentials by address', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '5' } });
    assert.deepEqual(await statusesOf(many(20, () => call('/api/v1/tokens/quota', {}))), { 401: 5, 429: 15 });
    const refused = await call('/api/v1/tokens/quota', {});
    assert.equal(((await refused.json()) as Refusal).policy, 'anonymous');
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    assert.equal((await call('/api/v1/tokens/quota', asUser('ada'))).status, 200, 'whoever has some goes on');
  });

  it('gives the longest matching prefix its own limit, in any spelling a service would accept', async () => {
    await start({
      env: {
        LEAKY_RATE_LIMIT_OVERRIDES: JSON.stringify({
          '/api/v1/tokens': { requests: 50, windowSeconds: 10 },
          '/api/v1/tokens/consume': { requests: 2, windowSeconds: 5 },
        }),
      },
    });
    const consume = await call('/api/v1/tokens/consume');
    assert.equal(consume.headers.get('ratelimit-policy'), '"/api/v1/tokens/consume";q=2;w=5');
    assert.equal((await call('/api/v1/tokens/CONSUME/')).headers.get('x-ratelimit-remaining'), '0');
    assert.equal((await call('/api/v1/tokens/consume')).status, 429);
    assert.equal((await call('/api/v1/tokens/quota')).headers.get('x-ratelimit-limit'), '50');
    assert.equal((await call('/api/v1/analytics/usage')).headers.get('x-ratelimit-limit'), '10000');
  });

  it('leaves exempt paths alone', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '1', LEAKY_RATE_LIMIT_EXEMPT: '/api/v1/tokens/status' } });
    assert.deepEqual(await statusesOf(many(5, () => call('/api/v1/tokens/status', {}))), { 200: 5 });
    assert.deepEqual(await statusesOf(many(5, () => call('/health/live', {}))), { 200: 5 });
  });

  it('can be switched off', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '1', LEAKY_FLAG_RATE_LIMITING: 'false' } });
    assert.deepEqual(await statusesOf(many(5, () => call('/api/v1/tokens/quota'))), { 200: 5 });
  });

  it('stops guessing of credentials from one address, without shutting out callers it knows', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '5' } });
    assert.equal((await call('/api/v1/tokens/quota', asUser('known'))).status, 200);
    assert.deepEqual(await statusesOf(many(20, () => call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_wrong' }))), { 401: 5, 429: 15 });
    const right = await call('/api/v1/tokens/quota', { 'X-Api-Key': 'leaky_right' });
    assert.equal(right.status, 429);
    assert.equal(((await right.json()) as Refusal).policy, 'credentials');
    assert.equal((await call('/api/v1/tokens/quota', asUser('known'))).status, 200);
  });

  it('lets requests pass when the store does not answer', async () => {
    const broken = () => Promise.reject(new Error('store is down'));
    await start({ limits: { hit: broken, peek: broken } });
    assert.equal((await call('/api/v1/tokens/quota')).status, 200);
  });
});
