import assert from 'node:assert/strict';
import type { RequestHandler } from 'express';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { eventually } from '../support/eventually.js';
import { asUser, startTestGateway, stubAuthenticator, type TestGateway, type TestGatewayOptions } from './support.js';

/** More than the kernels of both sides take without a reader */
const LARGE = Buffer.alloc(16 * 1024 * 1024, 'x');
const READ = '/api/v1/tokens/quota';
const CALL = '/api/v1/tokens/consume';

describe('places of the gateway', function () {
  this.timeout(30_000);
  let gateway: TestGateway;
  let sockets: Socket[] = [];
  const start = async (options: TestGatewayOptions = {}) => {
    gateway = await startTestGateway(options);
  };
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets = [];
    await gateway.close();
  });

  /** Requests on connections that never read what comes. */
  function neverRead(count: number, head: string): void {
    for (let one = 0; one < count; one += 1) {
      const socket = connect(gateway.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.pause().write(`${head}\r\nHost: x\r\n\r\n`);
      sockets.push(socket);
    }
  }
  const call = (path: string, user: string, init: RequestInit = {}) => fetch(gateway.url + path, { headers: asUser(user), ...init });
  /** The statuses and the longest time of reads that another user makes meanwhile, one after the other. */
  async function readsOf(user: string, count = 40) {
    const statuses = new Set<number>();
    let longestMs = 0;
    for (let turn = 0; turn < count; turn += 1) {
      const began = performance.now();
      const answer = await call(READ, user);
      await answer.arrayBuffer();
      longestMs = Math.max(longestMs, performance.now() - began);
      statuses.add(answer.status);
    }
    return { statuses: [...statuses], longestMs };
  }
  const isOf = (user: string, authorization: string | undefined) => authorization === `Bearer jwt-${user}`;

  for (const where of ['behind a hop', 'in the same process'] as const) {
    it(`end when the answer is produced, not when it is read, ${where}`, async () => {
      let produced = 0;
      const answer = (authorization: string | undefined, res: ServerResponse) => {
        if (!isOf('mallory', authorization)) return void res.end('{}');
        produced += 1;
        res.end(LARGE);
      };
      const local: RequestHandler = (req, res) => answer(req.headers.authorization, res);
      await start({
        // One caller may hold all places: what is shown is that it does not keep them.
        env: { LEAKY_GATEWAY_BULKHEAD: '4', LEAKY_GATEWAY_BULKHEAD_SHARE: '1' },
        ...(where === 'in the same process' && { localTokens: local }),
      });
      gateway.tokens.handler = (req, res) => answer(req.headers.authorization, res);
      neverRead(20, `GET ${READ} HTTP/1.1\r\nAuthorization: Bearer jwt-mallory`);
      await eventually('all are answered', () => produced === 20);
      assert.deepEqual((await readsOf('ada')).statuses, [200]);
    });
  }

  it('calls of one account that wait for a provider take none from reads, its own and those of others', async () => {
    await start();
    const held: ServerResponse[] = [];
    gateway.tokens.handler = (req, res) => void (req.method === 'POST' ? held.push(res) : res.end('{}'));
    const slow = Array.from({ length: 110 }, () => call(CALL, 'mallory', { method: 'POST' }));
    await eventually('all wait for the provider', () => held.length === 110);
    assert.deepEqual((await readsOf('ada')).statuses, [200]);
    assert.deepEqual((await readsOf('mallory')).statuses, [200]);
    for (const res of held) res.end('{}');
    assert.deepEqual(new Set((await Promise.all(slow)).map(({ status }) => status)), new Set([200]));
  });

  it('one caller holds its share of the calls that wait for a provider; the next one is told to come back', async () => {
    await start({ env: { LEAKY_GATEWAY_PROVIDER_CALLS: '16' } });
    const held: ServerResponse[] = [];
    gateway.tokens.handler = (_req, res) => void held.push(res);
    const slow = [call(CALL, 'mallory', { method: 'POST' }), call(CALL, 'mallory', { method: 'POST' })];
    await eventually('two are in progress', () => held.length === 2);
    const refused = await call(CALL, 'mallory', { method: 'POST' });
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
    assert.equal(((await refused.json()) as { code: string }).code, 'OVERLOADED');
    const others = call(CALL, 'ada', { method: 'POST' });
    await eventually('another caller is let in', () => held.length === 3);
    for (const res of held) res.end('{}');
    for (const answer of await Promise.all([...slow, others])) assert.equal(answer.status, 200);
  });

  it('one caller that hangs on to its reads leaves three quarters to others', async () => {
    await start();
    const held: ServerResponse[] = [];
    gateway.tokens.handler = (req, res) => void (isOf('mallory', req.headers.authorization) ? held.push(res) : res.end('{}'));
    let refused = 0;
    const hanging = Array.from({ length: 110 }, async () => {
      const { status } = await call(READ, 'mallory');
      if (status === 503) refused += 1;
      return status;
    });
    await eventually('it has its share', () => held.length === 25);
    assert.deepEqual((await readsOf('ada')).statuses, [200]);
    await eventually('the others of its own are refused', () => refused === 85);
    for (const res of held) res.end('{}');
    assert.equal((await Promise.all(hanging)).filter((status) => status === 200).length, 25);
  });

  it('what a known caller has no place for is refused before its credentials are looked at', async () => {
    let looks = 0;
    const identify: typeof stubAuthenticator.identify = (req) => {
      looks += 1;
      return stubAuthenticator.identify(req);
    };
    await start({ authenticator: { identify }, env: { LEAKY_GATEWAY_PROVIDER_CALLS: '8' } });
    assert.equal((await call(READ, 'mallory')).status, 200);
    gateway.tokens.handler = () => undefined;
    const abort = new AbortController();
    const hanging = call(CALL, 'mallory', { method: 'POST', signal: abort.signal }).catch(() => null);
    await eventually('it has its share', () => gateway.tokens.seen.length === 2);
    for (let turn = 0; turn < 20; turn += 1) assert.equal((await call(CALL, 'mallory', { method: 'POST' })).status, 503);
    assert.equal(looks, 2);
    abort.abort();
    await hanging;
  });

  it('a service of the same process that is full says so before credentials are looked at', async () => {
    let looks = 0;
    const identify: typeof stubAuthenticator.identify = (req) => {
      looks += 1;
      return stubAuthenticator.identify(req);
    };
    const localTokens = Object.assign<RequestHandler, object>((_req, res) => void res.end('{}'), { isFull: () => true });
    await start({ authenticator: { identify }, localTokens });
    const refused = await call(CALL, 'ada', { method: 'POST' });
    assert.deepEqual([refused.status, refused.headers.get('retry-after'), looks], [503, '1', 0]);
  });

  it('credentials that nobody knows are looked at a few at a time: who is known does not wait for them', async () => {
    const waiting: (() => void)[] = [];
    const identify: typeof stubAuthenticator.identify = async (req) => {
      if (req.headers.authorization?.includes('stranger')) await new Promise<void>((resolve) => waiting.push(resolve));
      return stubAuthenticator.identify(req);
    };
    await start({ authenticator: { identify }, env: { LEAKY_GATEWAY_PROVING: '8', LEAKY_GATEWAY_BULKHEAD_WAIT_MS: '100' } });
    assert.equal((await call(READ, 'ada')).status, 200);
    const strangers = Array.from({ length: 50 }, (_, index) => call(READ, `stranger${index}`).then(({ status }) => status));
    await eventually('some are looked at', () => waiting.length > 0);
    assert.deepEqual((await readsOf('ada')).statuses, [200]);
    assert.ok(waiting.length <= 8, `${waiting.length} at a time`);
    await eventually('the rest is told to come back', async () => {
      const settled = await Promise.race([Promise.all(strangers), new Promise((resolve) => setTimeout(resolve, 10, null))]);
      for (const go of waiting.splice(0)) go();
      return settled !== null;
    });
    const statuses = await Promise.all(strangers);
    assert.ok(statuses.includes(503));
    assert.ok(statuses.every((status) => status === 200 || status === 503));
  });

  it('requests without credentials are limited, and take none of the places of who has some', async () => {
    await start({ env: { LEAKY_RATE_LIMIT_REQUESTS: '100' } });
    const flood = Promise.all(Array.from({ length: 300 }, () => fetch(gateway.url + READ).then(({ status }) => status)));
    const { statuses } = await readsOf('ada', 20);
    assert.deepEqual(statuses, [200]);
    const answers = await flood;
    assert.deepEqual([answers.filter((status) => status === 401).length, answers.filter((status) => status === 429).length], [100, 200]);
  });
});
