import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { createServiceApp } from '../../api/http/service.js';
import { loadConfig } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { createLogger } from '../../telemetry/log.js';
import { asUser, startTestGateway, until, type TestGateway } from './support.js';

const PATH = '/api/v1/tokens/anything';

/** What a service of the gateway's process does with a request, by what its body asks for. */
function service() {
  const log = createLogger('silent');
  const late: unknown[] = [];
  const { inner } = createServiceApp({
    name: 'token-service',
    title: 'test',
    config: loadConfig({}),
    log,
    operations: [],
    serverUrl: 'http://localhost',
    routes: (router) => {
      router.post(PATH, async (req, res) => {
        const { does, status = 200, waitMs = 0 } = req.body as { does?: string; status?: number; waitMs?: number };
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        if (does === 'breakOff') {
          res.write('[');
          throw new Error('in the middle of an answer');
        }
        if (does === 'provider') throw new Problem('PROVIDER_FAILED', 'provider call failed');
        try {
          res.status(status).json({ body: req.body as unknown, headers: req.headers, url: req.originalUrl });
        } catch (error) {
          late.push(error);
          throw error;
        }
      });
    },
  });
  return { inner, late };
}

describe('a service in the process of its gateway', () => {
  let gateway: TestGateway;
  let local: ReturnType<typeof service>;
  beforeEach(async () => {
    local = service();
    gateway = await startTestGateway({
      localTokens: local.inner,
      env: { LEAKY_SERVICE_TIMEOUT_MS: '150' },
      breaker: { minimumCalls: 4, failureRate: 0.5, openMs: 60_000, windowMs: 60_000, trialCalls: 5 },
    });
  });
  afterEach(() => gateway.close());

  const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(gateway.url + PATH, { method: 'POST', body, headers: { ...asUser(), 'Content-Type': 'application/json', ...headers } });

  it('is called without a hop, and sees what it would have seen behind one', async () => {
    const answer = await post('{"says":"hello"}', { 'X-User-Id': 'mallory', 'X-Correlation-Id': 'abc' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('x-correlation-id'), 'abc');
    const { body, headers, url } = (await answer.json()) as { body: unknown; headers: Record<string, string>; url: string };
    assert.deepEqual(body, { says: 'hello' });
    assert.equal(url, PATH);
    assert.equal(headers['authorization'], 'Bearer jwt-ada');
    assert.equal(headers['x-user-id'], undefined, 'a client can not say who it is');
    assert.equal(gateway.tokens.seen.length, 0, 'nothing went over the network');
  });

  it('refuses bodies as it does behind a hop', async () => {
    for (const [body, type, status, code] of [
      ['{"broken"', 'application/json', 400, 'MALFORMED_JSON'],
      ['"text"', 'application/json', 400, 'MALFORMED_JSON'],
      ['a=b', 'application/x-www-form-urlencoded', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ] as const) {
      const answer = await post(body, { 'Content-Type': type });
      assert.equal(answer.status, status, body);
      assert.equal(((await answer.json()) as { code: string }).code, code);
    }
  });

  it('leaves bodies that must be inflated or decoded to the parser behind a hop', async () => {
    assert.equal((await post(new Uint8Array(gzipSync('{"says":"hello"}')), { 'Content-Encoding': 'gzip' })).status, 200);
    assert.equal((await post('{}', { 'Content-Type': 'application/json; charset=utf-16' })).status, 200);
    assert.equal(gateway.tokens.seen.length, 2);
    assert.equal((await post('{}', { 'Content-Type': 'application/json; charset=UTF-8' })).status, 200);
    assert.equal(gateway.tokens.seen.length, 2, 'plain UTF-8 needs neither');
  });

  it('that is too slow is answered for, and what it says later is thrown away', async () => {
    const answer = await post('{"waitMs":300}');
    assert.equal(answer.status, 504);
    assert.equal(((await answer.json()) as { code: string }).code, 'GATEWAY_TIMEOUT');
    await until(() => local.late.length > 0);
    assert.equal((await post('{}')).status, 200, 'the gateway goes on');
  });

  it('that breaks off an answer breaks it off for the client', async () => {
    await assert.rejects(post('{"does":"breakOff"}').then((answer) => answer.text()));
    assert.equal((await post('{}')).status, 200);
  });

  it('opens the breaker by its own faults, and not by those of others', async () => {
    for (let turn = 0; turn < 4; turn++) {
      const answer = await post('{"does":"provider"}');
      assert.equal(answer.status, 502);
      assert.equal(answer.headers.get('x-leaky-fault-origin'), null, 'between gateway and service only');
    }
    const statuses: number[] = [];
    for (let turn = 0; turn < 6; turn++) statuses.push((await post('{"status":500}')).status);
    assert.deepEqual(statuses, [500, 500, 500, 500, 503, 503]);
  });
});
