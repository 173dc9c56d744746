import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { newBuyer } from '../support/buyers.js';
import { buy, poolRow } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type ConsumeAnswer, type RigOptions, type TokenServiceRig } from '../support/token-service.js';

const statuses = (answers: readonly ConsumeAnswer[]) => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

describe('many consumptions at once', function () {
  this.timeout(30_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig;
  let second: TokenServiceRig;
  const rigs: TokenServiceRig[] = [];
  async function start(options: Partial<RigOptions> = {}) {
    const started = await startTokenServiceRig({ database: database().pool, temporal: temporal(), ...options });
    rigs.push(started);
    return started;
  }
  before(async () => {
    // How few may wait by default is another test's: here all do.
    const environment = { LEAKY_WAITING_PER_KEY: '100' };
    rig = await start({ environment });
    second = await start({ besides: rig, environment });
  });
  after(async () => {
    for (const started of rigs.toReversed()) await started.stop();
  });
  afterEach(() => assertSound(database().pool));
  const buyer = (tokens?: number) => newBuyer(database().pool, tokens);

  it('one key 100 times in one process: one call, one charge, one answer, and the bucket is filled once', async () => {
    const { order, balance } = await buyer();
    const key = { 'idempotency-key': 'k' };
    const answers = await Promise.all(Array.from({ length: 100 }, () => rig.consume(order({ tokens: 30 }), key)));
    assert.deepEqual(statuses(answers), { 200: 100 });
    assert.equal(new Set(answers.map(({ body }) => JSON.stringify(body))).size, 1);
    assert.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') !== 'true').length, 1);
    assert.equal(await rig.callsOf(String(answers[0]?.body['consumptionId'])), 1);
    assert.equal((await balance())['consumed_total'], 30);
    const next = await rig.consume(order({ tokens: 1 }));
    assert.ok((next.body['used'] as number) <= 31);
  });

  it('one key 20 times in two processes at once: one call, one charge, one answer', async () => {
    const { order, balance } = await buyer();
    const key = { 'idempotency-key': 'k' };
    const command = order({ tokens: 30, prompt: '[stub:slow=100]' });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? rig : second).consume(command, key)));
    assert.deepEqual(statuses(answers), { 200: 20 });
    assert.equal(new Set(answers.map(({ body }) => body['consumptionId'])).size, 1);
    assert.equal(await rig.callsOf(String(answers[0]?.body['consumptionId'])), 1);
    assert.equal((await balance())['consumed_total'], 30);
    for (const { consume } of [rig, second]) assert.ok(((await consume(order({ tokens: 1 }))).body['used'] as number) <= 31);
  });

  it('another payload under a key that is in flight: 409 at once, here and in another process', async () => {
    const { order, held } = await buyer();
    const key = { 'idempotency-key': 'k' };
    let answered = false;
    const first = rig.consume(order({ prompt: '[stub:slow=450]' }), key).finally(() => (answered = true));
    await eventually('it is held', async () => (await held()) === 1);
    for (const { consume } of [rig, second]) {
      const { status, body } = await consume(order({ prompt: 'another' }), key);
      assert.deepEqual([status, body['code'], answered], [409, 'IDEMPOTENCY_KEY_REUSED', false]);
    }
    assert.equal((await first).status, 200);
  });

  it('two payloads race for one key: one of them wins, the other is told 409', async () => {
    const { order, balance } = await buyer();
    const key = { 'idempotency-key': 'k' };
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => rig.consume(order({ prompt: `number ${i % 2}` }), key)));
    assert.deepEqual(statuses(answers), { 200: 5, 409: 5 });
    assert.equal((await balance())['consumed_total'], 10);
  });

  it('a client that hangs up changes nothing: with a key it can come back for the answer', async () => {
    const { order, held, rows } = await buyer();
    const key = { 'idempotency-key': 'k' };
    const leaving = new AbortController();
    const [keyed, keyless] = [key, {}].map((headers) =>
      rig.consume(order({ prompt: '[stub:slow=200]' }), headers, leaving.signal).catch(() => 'gone'),
    );
    await eventually('both are held', async () => (await held()) === 2);
    leaving.abort();
    assert.deepEqual([await keyed, await keyless], ['gone', 'gone']);
    const back = await rig.consume(order({ prompt: '[stub:slow=200]' }), key);
    assert.equal(back.status, 200);
    assert.equal(await rig.callsOf(String(back.body['consumptionId'])), 1);
    await eventually('both are settled', async () => (await rows()).every((row) => row.state === 'SETTLED'));
    assert.equal((await rows()).length, 2);
  });

  it('an organisation pool shared by 20 users: exactly what it holds is spent, and keys are apart for each user', async () => {
    const orgId = randomUUID();
    const pool = { ownerKind: 'org', ownerId: orgId, provider: 'openai' } as const;
    await buy(database().pool, pool, 100);
    const users = Array.from({ length: 20 }, () => randomUUID());
    const asAdmin = { 'x-test-roles': 'ADMIN', 'idempotency-key': 'same' };
    const consume = () =>
      Promise.all(
        users.map((userId, i) => (i % 2 === 0 ? rig : second).consume({ userId, orgId, provider: 'openai', tokens: 7 }, asAdmin)),
      );
    const first = await consume();
    assert.deepEqual(statuses(first), { 200: 14, 402: 6 });
    const again = await consume();
    assert.deepEqual(
      again.map(({ status, body }) => [status, body['consumptionId']]),
      first.map(({ status, body }) => [status, body['consumptionId']]),
    );
    const row = await poolRow(database().pool, pool);
    assert.deepEqual([row['purchased'], row['reserved'], row['consumed_total']], [2, 0, 98]);
    const elsewhere = await rig.consume({ userId: users[0], provider: 'openai', tokens: 7 }, asAdmin);
    assert.deepEqual([elsewhere.status, elsewhere.body['code']], [409, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('a quota window that ends in the middle of a batch: what was held counts for the old window, the rest for the new one', async () => {
    const { userId, order, held, balance } = await buyer(0);
    await createQuotaStore(database().pool).setPolicy('user', userId, { tier: 'FREE', custom: null, zone: 'UTC' });
    const early = rig.consume(order({ prompt: '[stub:slow=450]' }));
    const failing = rig.consume(order({ prompt: '[stub:slow=100] [stub:fail]' }));
    await eventually('both are held', async () => (await held()) === 2);
    await database().pool.query(`UPDATE pools SET reset_at = now() - interval '1 second' WHERE owner_id = $1`, [userId]);
    const late = await Promise.all(Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? rig : second).consume(order())));
    // FREE: an allowance of 100, whole although 20 of the old one are still held.
    assert.deepEqual(statuses(late), { 200: 10, 402: 2 });
    assert.deepEqual([(await early).status, (await failing).status], [200, 502]);
    const row = await balance();
    assert.deepEqual([row['allowance'], row['reserved'], row['consumed_total']], [0, 0, 110]);
  });

  describe('more than the service takes', () => {
    it('refuses the excess at once with 503 and Retry-After; what it accepts succeeds', async () => {
      const small = await start({ besides: rig, environment: { LEAKY_CONSUMPTIONS_IN_FLIGHT: '10', LEAKY_CALLER_SHARE: '1' } });
      const { order, rows, events } = await buyer();
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, i) =>
          small.consume(order({ prompt: '[stub:slow=400]' }), i % 2 === 0 ? { 'idempotency-key': `k${i}` } : {}),
        ),
      );
      const counts = statuses(answers);
      assert.deepEqual(counts, { 200: 10, 503: 50 });
      for (const { status, headers, body } of answers) {
        if (status === 503) assert.deepEqual([body['code'], headers.get('retry-after')], ['OVERLOADED', '1']);
      }
      assert.equal((await rows()).filter(({ code }) => code === 'OVERLOADED').length, 50);
      await eventually('every attempt is an event', async () => (await events()) === 60);
      const index = answers.findIndex(({ status }, i) => status === 503 && i % 2 === 0);
      assert.equal((await small.consume(order({ prompt: '[stub:slow=400]' }), { 'idempotency-key': `k${index}` })).status, 200);
    });

    it('refuses what the provider can not take before or without charging it, and the key stays free', async () => {
      const narrow = await start({ besides: rig, environment: { LEAKY_PROVIDER_BULKHEAD: '5', LEAKY_CALLER_SHARE: '1' } });
      const { order, balance } = await buyer();
      const keyOf = (i: number) => ({ 'idempotency-key': `k${i}` });
      const consume = (i: number) => narrow.consume(order({ prompt: '[stub:slow=200]' }), keyOf(i));
      const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => consume(i)));
      const counts = statuses(answers);
      assert.deepEqual(counts, { 200: 5, 503: 25 });
      for (const { status, body } of answers) if (status === 503) assert.equal(body['code'], 'PROVIDER_UNAVAILABLE');
      assert.deepEqual([(await balance())['consumed_total'], (await balance())['reserved']], [50, 0]);
      const refused = answers.findIndex(({ status }) => status === 503);
      assert.equal((await consume(refused)).status, 200);
    });

    it('an open breaker refuses before anything is held', async () => {
      const breaking = await start({
        besides: rig,
        environment: { LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS: '5', LEAKY_PROVIDER_ATTEMPTS: '1' },
      });
      const { order, rows, balance } = await buyer();
      for (let i = 0; i < 5; i++) assert.equal((await breaking.consume(order({ prompt: '[stub:fail]' }))).status, 502);
      const { status, body, headers } = await breaking.consume(order());
      assert.deepEqual([status, body['code']], [503, 'PROVIDER_UNAVAILABLE']);
      assert.ok(Number(headers.get('retry-after')) > 20);
      assert.deepEqual((await rows()).at(-1)?.state, 'REFUSED');
      assert.equal((await balance())['purchased'], 1_000);
    });
  });
});
