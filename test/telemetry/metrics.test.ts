import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { METHODS } from 'node:http';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { createBooksState } from '../../adapters/postgres/books-state.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createServiceApp, listen } from '../../api/http/service.js';
import { serveMetrics } from '../../compose/metrics.js';
import { loadConfig } from '../../config.js';
import { exposition } from '../../telemetry/exposition.js';
import { reportBooks } from '../../telemetry/gauges.js';
import { createLogger } from '../../telemetry/log.js';
import { Timings } from '../../telemetry/timings.js';
import { call } from '../e2e/http.js';
import { People } from '../e2e/people.js';
import { buy, requestFor, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { withSystem } from '../support/system.js';
import { parse, scrape } from './exposed.js';

describe('metrics', function () {
  this.timeout(30_000);

  it('times like a histogram of prom-client, for any observations', async () => {
    const buckets = [0.001, 0.5, 2];
    const seconds = fc.oneof(fc.double({ min: 0, max: 4, noNaN: true }), fc.constantFrom(...buckets));
    const observation = fc.tuple(seconds, fc.constantFrom('a', 'b"\\'), fc.constantFrom('x', 'y'));
    await fc.assert(
      fc.asyncProperty(fc.array(observation, { minLength: 1, maxLength: 30 }), async (observations) => {
        const theirs = new Registry();
        const ours = new Registry();
        const named = { name: 'seconds', help: 'h', buckets, labelNames: ['first', 'second'] as const };
        const histogram = new Histogram({ ...named, registers: [theirs] });
        const timings = new Timings({ ...named, register: ours });
        for (const [value, first, second] of observations) {
          histogram.observe({ first, second }, value);
          timings.observe(value, first, second);
        }
        const unordered = async (registry: Registry) =>
          parse(await registry.metrics()).map(({ name, labels, value }) => [name, Object.entries(labels).sort(), value.toPrecision(12)]);
        assert.deepEqual(await unordered(ours), await unordered(theirs));
      }),
      { numRuns: 50 },
    );
  });

  describe('of the books', () => {
    const database = withDatabase();

    it('tell what is on hold, and nothing while nobody reads them', async () => {
      const valueOf = async (name: string) => parse(await exposition()).find((sample) => sample.name === name)?.value;
      assert.equal(await valueOf('leaky_purchases_parked'), undefined);
      const pool = userPool();
      await buy(database().pool, pool, 100);
      await createConsumptionLedger(database().pool, { enforceQuota: true }).reserve('w1', [requestFor(pool, 30), requestFor(pool, 12)]);
      const stop = reportBooks(createBooksState(database().pool));
      assert.deepEqual([await valueOf('leaky_holds'), await valueOf('leaky_held_tokens')], [2, 42]);
      assert.equal(await valueOf('leaky_purchases_parked'), 0);
      assert.ok(((await valueOf('leaky_oldest_hold_seconds')) ?? -1) >= 0);
      stop();
      assert.equal(await valueOf('leaky_purchases_parked'), undefined);
    });
  });

  it('are on their own port alone when there is one', async () => {
    const config = loadConfig({ LEAKY_METRICS_PORT: '0' });
    const log = createLogger('silent');
    const app = createServiceApp({
      name: 'some',
      title: 'Some',
      config,
      log,
      operations: [],
      serverUrl: 'http://some',
      routes: () => undefined,
    });
    const service = await listen(app, '127.0.0.1', 0);
    const metrics = await serveMetrics(config);
    assert.ok(metrics);
    const statusOf = async (port: number, path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    try {
      assert.equal(await statusOf(service.port, '/metrics'), 404);
      assert.equal(await statusOf(metrics.port, '/anything'), 404);
      const samples = parse(await scrape(`http://127.0.0.1:${metrics.port}`));
      assert.ok(samples.some(({ name, labels }) => name === 'leaky_http_request_seconds_count' && labels.service === 'some'));
    } finally {
      await Promise.all([service.close(0), metrics.stop()]);
    }
  });

  describe('of the whole system', () => {
    const system = withSystem();
    const people = new People(system);

    it('have no label that a caller can grow: odd paths, methods, users and headers', async () => {
      const person = await people.register();
      const marker = `x${randomBytes(6).toString('hex')}`;
      const bases = [system().gateway, system().auth, system().tokens, system().analytics];
      const series = async () => new Set(parse(await scrape(system().gateway)).map(({ name, labels }) => name + JSON.stringify(labels)));
      const odd = async (round: number) => {
        const id = `${marker}${round}`;
        for (const base of bases) {
          await call(base, 'GET', `/${id}`);
          await call(base, 'GET', `/api/v1/tokens/consume/${randomUUID()}`, { token: person.token });
          await call(base, 'GET', `/api/v1/tokens/quota?userId=${id}&provider=${id}`, { token: person.token });
          await call(base, 'POST', '/api/v1/tokens/consume', {
            token: person.token,
            body: { userId: person.userId, provider: id, tokens: 1 },
          });
          await call(base, 'POST', '/api/v1/auth/login', { body: { username: id, password: id }, headers: { 'X-Correlation-Id': id } });
          await call(base, 'POST', `/fallback/${id}`);
        }
        for (const method of METHODS.filter((name) => !['CONNECT', 'HEAD', 'QUERY'].includes(name)))
          await call(system().gateway, method, `/${id}`);
      };
      await odd(0);
      const before = await series();
      for (let round = 1; round <= 3; round++) await odd(round);
      const after = await series();
      const grown = [...after].filter((one) => !before.has(one));
      // Other work of the system goes on meanwhile, and statuses that had not occurred may: a few, not one for each odd request.
      const routes = new Set(
        grown.filter((one) => one.startsWith('leaky_http')).map((one) => /"route":"[^"]*","method":"[^"]*"/.exec(one)?.[0]),
      );
      assert.ok(routes.size <= 3, [...routes].join('\n'));
      assert.deepEqual(
        [...after].filter((one) => one.includes(marker) || one.includes(person.userId)),
        [],
      );
      const methods = new Set([...after].flatMap((one) => /"method":"([^"]*)"/.exec(one)?.[1] ?? []));
      assert.ok(methods.has('(other)'), [...methods].join());
      assert.ok(methods.size <= 8, [...methods].join());
    });

    it("hold the Temporal SDK's: slots, pollers and latencies of the workers", async () => {
      const person = await people.register();
      const body = { userId: person.userId, provider: 'openai', tokens: 1 };
      await call(system().gateway, 'POST', '/api/v1/tokens/consume', { token: person.token, body });
      const samples = async () => parse(await scrape(system().gateway));
      await eventually('a workflow has completed', async () =>
        (await samples()).some(({ name, value }) => name === 'temporal_workflow_completed_total' && value > 0),
      );
      const now = await samples();
      const polled = now.filter(({ name }) => name === 'temporal_num_pollers').map(({ labels }) => labels.task_queue);
      for (const queue of ['token-consumption', 'quota-purchase', 'maintenance'])
        assert.ok(polled.includes(queue), `${queue}: ${polled.join()}`);
      assert.ok(now.some(({ name }) => name === 'temporal_worker_task_slots_available'));
    });
  });
});
