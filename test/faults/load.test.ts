import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { People, type Person } from '../e2e/people.js';
import { eventually } from '../support/eventually.js';
import { startSystem, type System } from '../support/system.js';

/** By hand: LEAKY_BURST=20000 LEAKY_BURST_CONNECTIONS=2000 npm test -- test/faults/load.test.ts */
const CALLS = Number(process.env.LEAKY_BURST ?? 4_000);
const CONNECTIONS = Number(process.env.LEAKY_BURST_CONNECTIONS ?? 400);
const SECONDS = Number(process.env.LEAKY_LOAD_SECONDS ?? 3);
/** What holds alone on a machine is checked by hand; here others may be running, and the callers are on the same cores. */
const ACCEPTED_P99_MS = 15_000;
const READ_P99_MS = 5_000;

const NO_LIMITS = {
  // What a machine that is busy with other tests can do in a provider's time; the product's own limit is for one of its own.
  ...(process.env.LEAKY_BURST === undefined && { LEAKY_CONSUMPTIONS_WORKING: '48' }),
  LEAKY_BUCKET_CAPACITY: '1000000000',
  LEAKY_PROVIDER_TIMEOUT_MS: '5000',
  LEAKY_RATE_LIMIT_OVERRIDES: JSON.stringify({ '/api/v1/tokens': { requests: 1_000_000, windowSeconds: 60 } }),
};

interface Outcome {
  status: number | string;
  ms: number;
  retryAfter?: string | undefined;
}

const percentile = (sorted: number[], part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
const p99 = (outcomes: Outcome[]) =>
  percentile(
    outcomes.map(({ ms }) => ms).sort((one, other) => one - other),
    0.99,
  );
const countBy = (outcomes: Outcome[]) => {
  const counts: Record<string, number> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

describe('one process under load', function () {
  this.timeout(300_000);
  let system: System;
  const people = new People(() => system);
  let ada: Person;
  let mallory: Person;
  before(async () => {
    system = await startSystem({ environment: NO_LIMITS });
    [ada, mallory] = [await people.register(), await people.register()];
    for (const { token, userId } of [ada, mallory]) {
      const bought = await people.call('POST', '/api/v1/tokens/purchase', { token, body: { userId, provider: 'openai', tokens: 100_000 } });
      assert.equal(bought.status, 202, bought.text);
      await eventually('the tokens are there', async () => {
        const quota = await people.call('GET', `/api/v1/tokens/quota?userId=${userId}&provider=openai`, { token });
        return quota.body.remainingTokens >= 100_000;
      });
    }
  });

  const url = () => new URL(system.gateway);
  function send(agent: Agent, who: Person, kind: 'read' | 'consume'): Promise<Outcome> {
    const body = kind === 'consume' ? JSON.stringify({ userId: who.userId, provider: 'openai', tokens: 1, prompt: 'x' }) : '';
    const path = kind === 'consume' ? '/api/v1/tokens/consume' : `/api/v1/tokens/quota?userId=${who.userId}&provider=openai`;
    const headers = {
      authorization: `Bearer ${who.token}`,
      ...(kind === 'consume' && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const began = performance.now();
    return new Promise((resolve) => {
      const options = { host: url().hostname, port: url().port, agent, path, headers, method: kind === 'consume' ? 'POST' : 'GET' };
      const req = request(options, (res) => {
        const outcome = () => ({ status: res.statusCode ?? 0, ms: performance.now() - began, retryAfter: res.headers['retry-after'] });
        res.resume().once('end', () => resolve(outcome()));
        res.once('error', (error: NodeJS.ErrnoException) => resolve({ ...outcome(), status: error.code ?? 'ERROR' }));
      });
      req.once('error', (error: NodeJS.ErrnoException) => resolve({ status: error.code ?? 'ERROR', ms: performance.now() - began }));
      req.end(body);
    });
  }
  const setProvider = (latencyMs: number) =>
    fetch(`${system.stubs.openai}/control`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ latencyMs }),
    });

  it(`a burst of ${CALLS} calls on ${CONNECTIONS} connections without back-off: each is served, or told at once to come back`, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
    let left = CALLS;
    const outcomes: Outcome[] = [];
    const caller = async () => {
      while (left > 0) {
        left -= 1;
        outcomes.push(await send(agent, mallory, 'consume'));
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, caller));
    agent.destroy();
    const accepted = outcomes.filter(({ status }) => status === 200);
    const refused = outcomes.filter(({ status }) => status === 503 || status === 429);
    const figures = JSON.stringify({ ...countBy(outcomes), acceptedP99: p99(accepted), refusedP99: p99(refused) });
    if (process.env.LEAKY_BURST) console.log(figures);
    assert.equal(accepted.length + refused.length, CALLS, figures);
    // All 48 places but the quarter that stays free for others: one caller's at least once, more when the burst lasts longer.
    assert.ok(accepted.length >= 36, figures);
    assert.ok(
      refused.every(({ retryAfter }) => Number(retryAfter) >= 1),
      'each says when to come back',
    );
    assert.ok(p99(accepted) < ACCEPTED_P99_MS, figures);
    const text = (await people.call('GET', '/metrics')).text;
    assert.match(text, /^leaky_gateway_breaker_state\{service="tokens"\} 0$/m);
    assert.match(text, /^leaky_provider_breaker_state\{provider="openai"\} 0$/m);
    assert.equal(
      (
        await people.call('POST', '/api/v1/tokens/consume', {
          token: ada.token,
          body: { userId: ada.userId, provider: 'openai', tokens: 1 },
        })
      ).status,
      200,
    );
  });

  describe('the reads and calls of another user', () => {
    let sockets: Socket[] = [];
    let stopped = false;
    let running: Promise<unknown>[] = [];
    let undisturbed: number;
    afterEach(async () => {
      stopped = true;
      for (const socket of sockets) socket.destroy();
      await Promise.all(running);
      stopped = false;
      sockets = [];
      running = [];
      await setProvider(0);
    });

    async function measure(): Promise<{ reads: Outcome[]; calls: Outcome[] }> {
      const agent = new Agent({ keepAlive: true });
      const until = performance.now() + SECONDS * 1_000;
      const repeat = async (kind: 'read' | 'consume') => {
        const outcomes: Outcome[] = [];
        while (performance.now() < until) outcomes.push(await send(agent, ada, kind));
        return outcomes;
      };
      const [reads, ...calls] = await Promise.all([repeat('read'), ...Array.from({ length: 4 }, () => repeat('consume'))]);
      agent.destroy();
      return { reads: reads ?? [], calls: calls.flat() };
    }
    before(async () => {
      await setProvider(0);
      await measure();
      undisturbed = (await measure()).calls.length;
    });

    const attacks: Record<string, () => void> = {
      'connections that never read their answer': () => {
        const head = `GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\nGET /api/v1/tokens/purchases?userId=${mallory.userId} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mallory.token}\r\n\r\n`;
        for (let one = 0; one < 110; one += 1) {
          const socket = connect(Number(url().port), url().hostname);
          socket.on('error', () => undefined);
          socket.pause().write(head);
          sockets.push(socket);
        }
      },
      'slow calls of one account': () => {
        const agent = new Agent({ keepAlive: true });
        running = Array.from({ length: 110 }, async () => {
          while (!stopped) {
            const { status } = await send(agent, mallory, 'consume');
            if (status !== 200) await new Promise((resolve) => setTimeout(resolve, 1_000));
          }
        });
        running.push(new Promise<void>((resolve) => void setTimeout(resolve, 100)));
      },
      'connections of requests without credentials': () => {
        const agent = new Agent({ keepAlive: true, maxSockets: 300 });
        const nobody = { ...mallory, token: '' };
        running = Array.from({ length: 300 }, async () => {
          while (!stopped) {
            await send(agent, nobody, 'read');
            await new Promise((resolve) => setTimeout(resolve, 1_000));
          }
        });
      },
    };
    for (const [name, attack] of Object.entries(attacks)) {
      it(`are served beside many ${name}`, async () => {
        // Their provider is slow for all: of the calls of the measured user only none may be lost.
        const slow = name.startsWith('slow');
        if (slow) await setProvider(2_000);
        attack();
        const { reads, calls } = await measure();
        const figures = JSON.stringify({ reads: countBy(reads), readP99: p99(reads), calls: countBy(calls), undisturbed });
        if (process.env.LEAKY_LOAD_SECONDS) console.log(name, figures);
        assert.deepEqual(Object.keys(countBy(reads)), ['200'], figures);
        assert.deepEqual(Object.keys(countBy(calls)), ['200'], figures);
        assert.ok(p99(reads) < READ_P99_MS, figures);
        if (!slow) assert.ok(calls.length > 0.2 * undisturbed, figures);
      });
    }
  });

  describe('its end', () => {
    it('45 callers that keep their connections are not cut when it is told to end', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 45 });
      const outcomes: Outcome[] = [];
      const caller = async (_: unknown, index: number) => {
        for (;;) {
          const outcome = await send(agent, ada, index % 3 === 0 ? 'consume' : 'read');
          if (outcome.status === 'ECONNREFUSED') return;
          outcomes.push(outcome);
          if (typeof outcome.status === 'string') return;
        }
      };
      const callers = Array.from({ length: 45 }, caller);
      await eventually('all are calling', () => outcomes.length > 200, 60_000);
      const ended = system.stop();
      await Promise.all(callers);
      agent.destroy();
      assert.deepEqual(countBy(outcomes), { 200: outcomes.length });
      assert.equal(await ended, 0);
    });
  });
});
