import assert from 'node:assert/strict';
import { startTestGateway, type TestGateway } from '../gateway/support.js';

const PAGES = [
  '/health/live',
  '/health/ready',
  '/health/startup',
  '/metrics',
  '/openapi.json',
  '/docs/',
  '/fallback/tokens',
  '/HEALTH/live',
];

describe('what a service tells to everybody', () => {
  let gateway: TestGateway;
  afterEach(() => gateway.close());
  const start = async (env: Record<string, string>) => {
    gateway = await startTestGateway({ env: { LEAKY_RATE_LIMIT_PAGES: '3', ...env } });
  };
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(gateway.url + path, { headers });
    await answer.arrayBuffer();
    return answer;
  };

  for (const path of PAGES) {
    it(`is limited by address: ${path}`, async () => {
      await start({});
      const answers = [await ask(path), await ask(path), await ask(path)];
      assert.ok(answers.every(({ status, headers }) => status !== 429 && headers.get('x-ratelimit-limit') === null));
      const refused = await ask(path);
      assert.equal(refused.status, 429);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
      assert.deepEqual([refused.headers.get('x-ratelimit-limit'), refused.headers.get('x-ratelimit-remaining')], ['3', '0']);
      assert.equal(refused.headers.get('ratelimit-policy'), '"pages";q=3;w=60');
    });
  }

  it('each address has its own limit, a /64 of IPv6 one together', async () => {
    await start({ LEAKY_TRUST_PROXY: 'loopback' });
    const from = (address: string) => ask('/metrics', { 'X-Forwarded-For': address });
    for (let turn = 0; turn < 3; turn += 1) assert.equal((await from(`2001:db8::${turn}`)).status, 200);
    assert.equal((await from('2001:db8::ffff')).status, 429);
    assert.equal((await from('2001:db8:0:1::1')).status, 200);
  });

  it('exempt paths have none', async () => {
    await start({ LEAKY_RATE_LIMIT_EXEMPT: '/health' });
    for (let turn = 0; turn < 6; turn += 1) assert.equal((await ask('/health/live')).status, 200);
  });

  it('metrics are made a few times a second at most, and are never older than that', async () => {
    await start({ LEAKY_RATE_LIMIT_PAGES: '1000' });
    const texts = await Promise.all(Array.from({ length: 60 }, async () => (await fetch(`${gateway.url}/metrics`)).text()));
    // The time the process has used grows between any two renderings.
    assert.ok(new Set(texts.map((text) => /^process_cpu_seconds_total .*$/m.exec(text)?.[0])).size <= 5 * 2);
  });
});
