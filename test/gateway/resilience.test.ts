import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { asUser, startTestGateway, startUpstream, until, type TestGateway, type TestGatewayOptions } from './support.js';

const QUICK = { minimumCalls: 4, openMs: 150, windowMs: 5_000, trialCalls: 5, failureRate: 0.5 };

describe('gateway resilience', () => {
  let gateway: TestGateway;
  const start = async (options: TestGatewayOptions = {}) => {
    gateway = await startTestGateway(options);
  };
  afterEach(() => gateway.close());

  const call = (path = '/api/v1/tokens/quota', init: RequestInit = {}) => fetch(gateway.url + path, { headers: asUser(), ...init });
  const statuses = async (count: number, path?: string) => {
    const result: number[] = [];
    for (let turn = 0; turn < count; turn += 1) result.push((await call(path)).status);
    return result;
  };
  const answerWith =
    (status: number, headers: Record<string, string> = {}) =>
    (_req: unknown, res: ServerResponse) => {
      res.writeHead(status, headers).end('{}');
    };

  describe('breaker', () => {
    it('opens at half of the calls failing, refuses with the fallback while open, and closes after five good trials', async () => {
      await start({ breaker: QUICK });
      assert.deepEqual(await statuses(2), [200, 200]);
      gateway.tokens.handler = answerWith(500);
      assert.deepEqual(await statuses(3), [500, 500, 503]);
      const { length: reached } = gateway.tokens.seen;
      assert.equal(reached, 4);
      const refused = await call();
      const body = (await refused.json()) as Record<string, unknown>;
      assert.equal(refused.status, 503);
      assert.equal(refused.headers.get('content-type'), 'application/problem+json; charset=utf-8');
      assert.equal(refused.headers.get('retry-after'), '1');
      assert.deepEqual([body['service'], body['status'], body['code']], ['token-service', 'unavailable', 'SERVICE_UNAVAILABLE']);
      for (const member of ['type', 'title', 'detail', 'message', 'timestamp', 'path', 'correlationId']) {
        assert.equal(typeof body[member], 'string', member);
      }
      assert.equal((await call('/api/v1/analytics/usage')).status, 200, 'each service has its own breaker');

      gateway.tokens.handler = answerWith(200);
      await until(async () => (await call()).status === 200);
      assert.deepEqual(
        await statuses(8),
        Array.from({ length: 8 }, () => 200),
      );
    });

    it('closes as soon as the service says that it is ready again, also long before the pause is over', async function () {
      this.timeout(20_000);
      await start({ breaker: { ...QUICK, firstPauseMs: 600_000, openMs: 600_000 } });
      let away = true;
      gateway.tokens.handler = (req, res) => answerWith(away ? 503 : 200)(req, res);
      await statuses(4);
      assert.equal((await call()).status, 503);
      await until(() => gateway.tokens.seen.some(({ url }) => url === '/health/ready'));
      away = false;
      await until(async () => (await call()).status === 200);
    });

    it('opens again when a trial fails', async () => {
      await start({ breaker: QUICK });
      gateway.tokens.handler = answerWith(500);
      assert.deepEqual(await statuses(5), [500, 500, 500, 500, 503]);
      await until(async () => (await call()).status === 500);
      assert.equal((await call()).status, 503);
      assert.equal(gateway.tokens.seen.length, 5);
    });

    it('holds neither client errors nor faults that lie elsewhere against the service', async () => {
      await start({ breaker: QUICK });
      gateway.tokens.handler = answerWith(400);
      await statuses(6);
      for (const [status, origin] of [
        [502, 'provider'],
        [504, 'provider'],
        [503, 'load'],
      ] as const) {
        gateway.tokens.handler = answerWith(status, { 'X-Leaky-Fault-Origin': origin });
        assert.deepEqual(
          await statuses(6),
          Array.from({ length: 6 }, () => status),
        );
      }
      assert.equal(gateway.tokens.seen.length, 24);
    });

    it('does not count calls that the client broke off', async () => {
      await start({ breaker: QUICK });
      gateway.tokens.handler = () => undefined;
      for (let turn = 0; turn < 8; turn += 1) {
        const abort = new AbortController();
        const answer = call(undefined, { signal: abort.signal }).catch(() => null);
        await until(() => gateway.tokens.seen.length === turn + 1);
        abort.abort();
        await answer;
      }
      gateway.tokens.handler = answerWith(200);
      assert.equal((await call()).status, 200);
    });

    it('shows its state as a metric', async () => {
      await start({ breaker: QUICK });
      gateway.tokens.handler = answerWith(500);
      await statuses(4);
      assert.match(await (await call('/metrics')).text(), /leaky_gateway_breaker_state\{service="tokens"\} 2/);
    });
  });

  it('answers GET /fallback/{service} with the same body, and 404 for an unknown one', async () => {
    await start();
    for (const name of ['tokens', 'token-service', 'auth', 'analytics-service']) {
      const answer = await call(`/fallback/${name}`);
      assert.equal(answer.status, 503);
      assert.equal(((await answer.json()) as { status: string }).status, 'unavailable');
      assert.ok(answer.headers.has('retry-after'));
    }
    assert.equal((await call('/fallback/nothing')).status, 404);
    assert.equal((await call('/fallback/%zz')).status, 400);
  });

  it('answers 504 when a service is over its time, and aborts the call', async () => {
    await start({ env: { LEAKY_SERVICE_TIMEOUT_MS: '60' } });
    let aborted = false;
    gateway.tokens.handler = (req) => req.socket.once('close', () => (aborted = true));
    const answer = await call();
    assert.equal(answer.status, 504);
    assert.equal(((await answer.json()) as { code: string }).code, 'GATEWAY_TIMEOUT');
    await until(() => aborted);
  });

  it('allows the provider its time on top where a provider is called', async () => {
    await start({ env: { LEAKY_SERVICE_TIMEOUT_MS: '60', LEAKY_PROVIDER_TIMEOUT_MS: '2000' } });
    gateway.tokens.handler = (_req, res) => {
      setTimeout(() => res.end('{}'), 150);
    };
    assert.equal((await call('/api/v1/tokens/consume', { method: 'POST' })).status, 200);
    assert.equal((await call('/api/v1/tokens/quota')).status, 504);
  });

  it('breaks an answer off for the client when the service breaks it off', async () => {
    await start();
    gateway.tokens.handler = (_req, res) => {
      res.writeHead(200, { 'Content-Length': 100 }).write('partial');
      setImmediate(() => res.destroy());
    };
    await assert.rejects(async () => (await call()).text());
  });

  it('answers 503 with the fallback body while a service is down, and works again when it is back', async () => {
    await start();
    const port = Number(new URL(gateway.tokens.url).port);
    assert.equal((await call()).status, 200);
    await gateway.tokens.close();
    const answer = await call();
    assert.equal(answer.status, 503);
    assert.equal(((await answer.json()) as { service: string }).service, 'token-service');
    gateway.tokens = await startUpstream(port);
    assert.equal((await call()).status, 200);
  });

  it('repeats an idempotent call once when a kept connection was closed under it', async () => {
    await start();
    assert.equal((await call()).status, 200);
    let turn = 0;
    gateway.tokens.handler = (req, res) => {
      turn += 1;
      if (turn === 1) req.socket.destroy();
      else res.end('{}');
    };
    assert.equal((await call()).status, 200);
    turn = 0;
    assert.equal((await call('/api/v1/tokens/consume', { method: 'POST' })).status, 503, 'a call that may have been made is not repeated');
    assert.equal(turn, 1);
  });

  it('aborts the call to the service when the client hangs up', async () => {
    await start();
    let closed = false;
    gateway.tokens.handler = (req) => req.socket.once('close', () => (closed = true));
    const abort = new AbortController();
    const answer = call(undefined, { signal: abort.signal }).catch(() => null);
    await until(() => gateway.tokens.seen.length === 1);
    abort.abort();
    await answer;
    await until(() => closed);
  });

  describe('bulkhead', () => {
    it('holds calls over its places back, admits them as places come free and refuses after the wait', async () => {
      await start({ env: { LEAKY_GATEWAY_BULKHEAD: '2', LEAKY_GATEWAY_BULKHEAD_WAIT_MS: '150' } });
      const held: ServerResponse[] = [];
      gateway.tokens.handler = (_req, res) => {
        held.push(res);
      };
      const calls = Array.from({ length: 4 }, () => call());
      await until(() => held.length === 2);
      held[0]?.end('{}');
      await until(() => held.length === 3);
      const refused = await Promise.any(calls.map(async (one) => ((await one).status === 503 ? one : Promise.reject(new Error('served')))));
      assert.equal(((await refused.json()) as { code: string }).code, 'OVERLOADED');
      assert.equal(refused.headers.get('retry-after'), '1');
      for (const res of held) res.end('{}');
      assert.deepEqual((await Promise.all(calls)).map((answer) => answer.status).sort(), [200, 200, 200, 503]);
      gateway.tokens.handler = answerWith(200);
      assert.deepEqual(await statuses(4), [200, 200, 200, 200], 'the call that gave up took no place with it');
    });

    it('gives the place of a client that hung up to another', async () => {
      await start({ env: { LEAKY_GATEWAY_BULKHEAD: '1' } });
      gateway.tokens.handler = () => undefined;
      const abort = new AbortController();
      const gone = call(undefined, { signal: abort.signal }).catch(() => null);
      await until(() => gateway.tokens.seen.length === 1);
      gateway.tokens.handler = answerWith(200);
      const waiting = call();
      abort.abort();
      assert.equal((await waiting).status, 200);
      await gone;
    });
  });
});
