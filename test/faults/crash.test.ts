import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { createPool } from '../../adapters/postgres/pool.js';
import { call } from '../e2e/http.js';
import { People } from '../e2e/people.js';
import { eventually, isRunning } from '../support/eventually.js';
import { startSystem, type System } from '../support/system.js';

const CONSUMPTIONS = 50;
const PURCHASES = 10;
const TOKENS = 2;
const BOUGHT = 500;
/** `LEAKY_FAULT_ROUNDS=20 npm test -- test/faults` kills that many times; CI kills once. */
const ROUNDS = Number(process.env.LEAKY_FAULT_ROUNDS ?? 1);

interface Attempt {
  key: string;
  keyed: boolean;
  body: object;
  answer: Promise<{ status: number; body: Record<string, unknown> } | null>;
}

describe('kill -9 of the whole process', function () {
  this.timeout(240_000 * ROUNDS);
  let system: System;
  const people = new People(() => system);

  before(async () => {
    system = await startSystem({ environment: { LEAKY_PROVIDER_TIMEOUT_MS: '15000' } });
  });
  after(() => system.stop());

  async function query<T extends object>(text: string, values: unknown[] = []): Promise<T[]> {
    const client = new pg.Client({ connectionString: system.postgresUrl });
    await client.connect();
    return client
      .query<T>(text, values)
      .then((result) => result.rows)
      .finally(() => client.end());
  }
  const count = async (text: string, values: unknown[] = []) => Number((await query<{ count: string }>(text, values))[0]?.count);
  const post = (path: string, token: string, attempt: { key: string; keyed: boolean; body: object }) =>
    call(system.gateway, 'POST', path, {
      token,
      body: attempt.body,
      ...(attempt.keyed && { headers: { 'Idempotency-Key': attempt.key } }),
    });

  for (let round = 1; round <= ROUNDS; round++) {
    it(`with ${CONSUMPTIONS} consumptions and ${PURCHASES} purchases in flight loses, doubles and holds nothing (round ${round})`, async () => {
      const user = await people.register();
      await people.buy(user, BOUGHT);
      const attempts = (path: string, n: number, body: (i: number) => object): Attempt[] =>
        Array.from({ length: n }, (_, i) => {
          const attempt = {
            key: randomUUID(),
            keyed: i % 2 === 0,
            body: { userId: user.userId, provider: 'openai', ...body(i) },
          };
          return { ...attempt, answer: post(path, user.token, attempt).catch(() => null) };
        });

      const before = attempts('/api/v1/tokens/consume', 10, () => ({ tokens: TOKENS, prompt: 'before the crash' }));
      const answered = await Promise.all(before.map((attempt) => attempt.answer));
      assert.deepEqual(new Set(answered.map((answer) => answer?.status)), new Set([200]));

      const consumptions = attempts('/api/v1/tokens/consume', CONSUMPTIONS, (i) => ({
        tokens: TOKENS,
        prompt: `[stub:slow=8000] number ${i}`,
      }));
      const purchases = attempts('/api/v1/tokens/purchase', PURCHASES, (i) => ({
        tokens: 100,
        paymentMethod: i % 5 === 4 ? 'sim_slow_capture:8000' : 'sim_slow:8000',
      }));
      await eventually(
        'all of them are in flight',
        async () =>
          (await count(`SELECT count(*) FROM consumptions WHERE state = 'HELD' AND user_id = $1`, [user.userId])) === CONSUMPTIONS &&
          (await count(`SELECT count(*) FROM token_purchase_saga WHERE status <> 'COMPLETED' AND user_id = $1`, [user.userId])) ===
            PURCHASES,
      );
      const { pid } = system;
      await system.kill9();
      const sagas = await Promise.all(purchases.map((attempt) => attempt.answer));

      const killedAt = Date.now();
      system = await startSystem({ successorOf: system });
      assert.ok(!(await isRunning(pid)));
      await eventually(
        'no hold is left',
        async () => (await count(`SELECT count(*) FROM consumptions WHERE state = 'HELD'`)) === 0,
        60_000,
      );
      await eventually(
        'every saga has ended',
        async () => (await count(`SELECT count(*) FROM token_purchase_saga WHERE status NOT IN ('COMPLETED', 'FAILED')`)) === 0,
        60_000,
      );
      const tookMs = Date.now() - killedAt;
      await eventually('every outcome is in the usage events', async () => (await audit()).breaches.length === 0, 20_000);
      assert.deepEqual((await audit()).breaches, []);
      assert.ok(tookMs < 60_000, `settled ${tookMs} ms after the kill`);

      // Whoever retries with a key gets the one outcome: the same answer as before the crash, or the call's first one.
      for (const [index, attempt] of before.entries()) {
        if (!attempt.keyed) continue;
        const again = await post('/api/v1/tokens/consume', user.token, attempt);
        assert.deepEqual(again.body, answered[index]?.body, 'an answer given before the crash survives it');
      }
      const keyed = consumptions.filter((attempt) => attempt.keyed);
      const retried = await Promise.all(keyed.map((attempt) => post('/api/v1/tokens/consume', user.token, attempt)));
      assert.deepEqual(new Set(retried.map((answer) => answer.status)), new Set([200]));
      const twice = await Promise.all(keyed.map((attempt) => post('/api/v1/tokens/consume', user.token, attempt)));
      assert.deepEqual(
        twice.map((answer) => answer.body),
        retried.map((answer) => answer.body),
      );

      // The charge is what was answered: nobody can come back for a call without a key, so those were released.
      const charged = await count(`SELECT coalesce(sum(charged), 0) AS count FROM consumptions WHERE user_id = $1`, [user.userId]);
      assert.equal(charged, (before.length + keyed.length) * TOKENS);
      for (const [index, attempt] of purchases.entries()) {
        if (!attempt.keyed || !sagas[index]) continue;
        const again = await post('/api/v1/tokens/purchase', user.token, attempt);
        assert.equal(again.body['sagaId'], sagas[index].body['sagaId']);
      }
      assert.equal(
        await count(`SELECT count(*) FROM token_purchase_saga WHERE user_id = $1 AND status = 'COMPLETED'`, [user.userId]),
        PURCHASES + 1,
      );
      assert.equal(await count('SELECT coalesce(max(captures), 0) AS count FROM sim_payments'), 1);
      const balance = await people.quota(user);
      assert.equal(balance.remainingTokens, BOUGHT + PURCHASES * 100 - charged);
      assert.equal(balance.reservedTokens, 0);
    });
  }

  async function audit() {
    const pool = createPool(system.postgresUrl, 1);
    return createAuditor(pool)
      .audit(0)
      .finally(() => pool.end());
  }
});
