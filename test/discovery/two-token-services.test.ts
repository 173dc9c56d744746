import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../embedded/ports.js';
import { buy, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { startLeaky, type LeakyService } from '../support/leaky-service.js';
import { withDatabase } from '../support/postgres.js';
import { startOwnRedis } from '../support/redis-server.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';

const CALLS = 80;
const TOKENS = 5;

/** Every part a process of its own, found through the registry, as in production. */
describe('two token services behind one gateway', function () {
  this.timeout(180_000);
  const database = withDatabase();
  const temporal = withTemporal();

  describe('found in the registry', () => {
    const running: LeakyService[] = [];
    let gatewayUrl: string;
    let tokens: [LeakyService, LeakyService];
    let startTokens: () => Promise<LeakyService>;
    let user: { userId: string; token: string };

    before('all processes', async () => {
      const [gatewayPort, authPort, ...stubs] = await Promise.all(Array.from({ length: 5 }, () => freePort()));
      const [qwen = 0, gemini = 0, openai = 0] = stubs;
      const common = {
        LEAKY_LOG_LEVEL: 'warn',
        LEAKY_POSTGRES_URL: database().url,
        LEAKY_TEMPORAL_ADDRESS: temporal().address,
        // Of its own: the registry is one for each Redis
        LEAKY_REDIS_URL: (await startOwnRedis()).url,
        LEAKY_REDIS_TIMEOUT_MS: '5000',
        LEAKY_DISCOVERY: 'registry',
        LEAKY_DISCOVERY_REFRESH_MS: '300',
        LEAKY_MASTER_KEY: randomBytes(32).toString('hex'),
        LEAKY_BUCKET_CAPACITY: '100000',
        LEAKY_RATE_LIMIT_REQUESTS: '100000',
        LEAKY_STUB_LATENCY_MS: '150',
        LEAKY_STUB_QWEN_PORT: String(qwen),
        LEAKY_STUB_GEMINI_PORT: String(gemini),
        LEAKY_STUB_OPENAI_PORT: String(openai),
      };
      const start = async (command: string, port: number, more: Record<string, string> = {}) => {
        const service = startLeaky(command, { ...common, ...more });
        running.push(service);
        let end: number | string | null | undefined;
        void service.ended.then((how) => (end = how));
        const isReady = () => {
          assert.equal(end, undefined, service.output());
          return fetch(`http://127.0.0.1:${port}/health/ready`).then(
            ({ ok }) => ok,
            () => false,
          );
        };
        await eventually(`leaky ${command} is ready`, isReady, 60_000);
        return service;
      };
      await Promise.all([start('auth', authPort ?? 0, { LEAKY_AUTH_PORT: String(authPort) }), start('stubs', openai)]);
      startTokens = async () => {
        const port = await freePort();
        return start('tokens', port, { LEAKY_TOKENS_PORT: String(port) });
      };
      tokens = await Promise.all([startTokens(), startTokens()]);
      await start('gateway', gatewayPort ?? 0, { LEAKY_GATEWAY_PORT: String(gatewayPort) });
      gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
      const name = `user-${randomBytes(4).toString('hex')}`;
      const registered = await fetch(`${gatewayUrl}/api/v1/auth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username: name, email: `${name}@example.com`, password: 'correct horse battery' }),
      });
      assert.equal(registered.status, 201, await registered.clone().text());
      user = (await registered.json()) as typeof user;
      await buy(database().pool, userPool(user.userId), 100_000);
    });
    after('end them', async () => {
      for (const { process } of running) process.kill('SIGKILL');
      await Promise.all(running.map(({ ended }) => ended));
    });

    const consume = (key?: string) =>
      fetch(`${gatewayUrl}/api/v1/tokens/consume`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${user.token}`,
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        body: JSON.stringify({ userId: user.userId, provider: 'openai', tokens: TOKENS }),
      });
    /** As a client should: what may be tried again is, under the same key. */
    const persistently = async (key: string): Promise<number> => {
      for (;;) {
        const answer = await consume(key);
        if (![409, 502, 503, 504].includes(answer.status)) return answer.status;
        await delay(100);
      }
    };
    const countOf = async (state: string) =>
      (
        await database().pool.query('SELECT count(*)::int AS count FROM consumptions WHERE user_id = $1 AND state = $2', [
          user.userId,
          state,
        ])
      ).rows[0].count as number;

    it('kill -9 of one with calls in progress: every accepted request has its one outcome, every key its answer', async () => {
      const before = await countOf('SETTLED');
      const answers = Array.from({ length: CALLS }, (_, index) => persistently(`call-${index}`));
      while ((await countOf('HELD')) < CALLS / 8) await delay(5);
      tokens[1].process.kill('SIGKILL');
      assert.equal(await tokens[1].ended, 'SIGKILL');
      assert.deepEqual([...new Set(await Promise.all(answers))], [200]);
      await assertSound(database().pool, 60_000);
      assert.equal((await countOf('SETTLED')) - before, CALLS, 'each key once');
      assert.equal(await countOf('HELD'), 0);
      tokens[1] = await startTokens();
    });

    it('SIGTERM of one: it leaves the registry, drains, and no call fails', async () => {
      const [leaving] = tokens;
      const statuses: Promise<number>[] = [];
      let ended = false;
      void leaving.ended.then(() => (ended = true));
      leaving.process.kill('SIGTERM');
      while (!ended) {
        statuses.push(consume().then(({ status }) => status));
        await delay(20);
      }
      assert.equal(await leaving.ended, 0, leaving.output());
      const all = await Promise.all(statuses);
      assert.deepEqual([...new Set(all)], [200], `${all.length} calls`);
      assert.ok(all.length > 10);
    });
  });
});
