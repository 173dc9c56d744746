import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { withDatabase } from '../support/postgres.js';
import { eventually, readUntil } from '../support/eventually.js';
import { withTemporal } from '../support/temporal.js';
import { buy, poolRow, userPool } from '../support/consumptions.js';
import { startTokenServiceRig, type TokenServiceRig } from '../support/token-service.js';

describe('POST /api/v1/tokens/consume', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig;
  before(async () => {
    rig = await startTokenServiceRig({ database: database().pool, temporal: temporal() });
  });
  after(() => rig.stop());

  async function owner(tokens: number) {
    const pool = userPool();
    if (tokens > 0) await buy(database().pool, pool, tokens);
    return { userId: pool.ownerId, pool, balance: () => poolRow(database().pool, pool) };
  }
  const eventsOf = async (id: string) => (await database().pool.query('SELECT * FROM usage_events WHERE id = $1', [id])).rows;

  it('answers 200 with the bucket and the provider response, charges once and records the usage', async () => {
    const { userId, balance } = await owner(100);
    const { status, body } = await rig.consume({ userId, provider: 'openai', tokens: 10, prompt: 'hi there' });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body['allowed'], true);
    assert.deepEqual([body['capacity'], body['used'], body['remaining'], body['waitSeconds']], [1000, 10, 990, 0]);
    assert.equal((body['providerResponse'] as { provider: string }).provider, 'openai');
    const row = await balance();
    assert.deepEqual([row['purchased'], row['reserved'], row['consumed_total']], [90, 0, 10]);
    const events = await readUntil(
      'its usage is recorded',
      () => eventsOf(body['consumptionId'] as string),
      (rows) => rows.length > 0,
      15_000,
    );
    assert.equal(events.length, 1);
  });

  it('explains itself: state, charge, reasons and the workflow that carried it', async () => {
    const { userId } = await owner(100);
    const { body } = await rig.consume({ userId, provider: 'openai', tokens: 10 });
    const explained = await rig.get(`/api/v1/tokens/consume/${String(body['consumptionId'])}`, userId);
    assert.equal(explained.status, 200);
    assert.deepEqual([explained.body['state'], explained.body['charged'], explained.body['attempts']], ['SETTLED', 10, 1]);
    const workflowId = explained.body['workflowId'] as string;
    assert.equal(explained.body['temporalCommand'], `temporal workflow show --workflow-id ${workflowId}`);
    const result = (await temporal().client.workflow.getHandle(workflowId).result()) as Record<string, number>;
    assert.equal(result['settled'], 1);
    assert.equal((await rig.get(`/api/v1/tokens/consume/${String(body['consumptionId'])}`, randomUUID())).status, 404);
    assert.equal((await rig.get(`/api/v1/tokens/consume/${String(body['consumptionId'])}`, randomUUID(), 'ADMIN')).status, 200);
  });

  it('keeps prompts and answers out of the history', async () => {
    const { userId } = await owner(100);
    const secret = `prompt-${randomUUID()}`;
    const { body } = await rig.consume({ userId, provider: 'openai', tokens: 10, prompt: secret });
    const explained = await rig.get(`/api/v1/tokens/consume/${String(body['consumptionId'])}`, userId);
    const handle = temporal().client.workflow.getHandle(explained.body['workflowId'] as string);
    await handle.result();
    const history = JSON.stringify(await handle.fetchHistory()).replace(/"data":"([^"]+)"/g, (_, data: string) =>
      Buffer.from(data, 'base64').toString(),
    );
    assert.ok(history.includes(String(body['consumptionId'])), 'the history names the consumption');
    assert.ok(!history.includes(secret));
  });

  it('60 in parallel of 3 from a pool of 100: exactly 33 succeed, 27 get 402, 1 token is left, and the bucket counts only the 33', async () => {
    const { userId, balance } = await owner(100);
    const answers = await Promise.all(Array.from({ length: 60 }, () => rig.consume({ userId, provider: 'openai', tokens: 3 })));
    const count = (status: number) => answers.filter((answer) => answer.status === status).length;
    assert.deepEqual([count(200), count(402)], [33, 27]);
    const refusal = answers.find((answer) => answer.status === 402)?.body;
    assert.equal(refusal?.['message'], 'insufficient token quota');
    assert.match(String(refusal?.['upgradeUrl']), /^http/);
    assert.deepEqual([(await balance())['purchased'], (await balance())['reserved']], [1, 0]);
    const last = await rig.consume({ userId, provider: 'openai', tokens: 1 });
    assert.ok((last.body['used'] as number) <= 100, `the bucket was given back what was refused: ${String(last.body['used'])}`);
  });

  it('429 with Retry-After when the bucket overflows, without it when no wait will help; recorded as refusals', async () => {
    const { userId } = await owner(5_000);
    assert.equal((await rig.consume({ userId, provider: 'openai', tokens: 1_000 })).status, 200);
    const { status, headers, body } = await rig.consume({ userId, provider: 'openai', tokens: 500 });
    assert.equal(status, 429);
    assert.deepEqual([body['allowed'], body['capacity'], body['providerResponse']], [false, 1000, {}]);
    assert.equal(Number(headers.get('retry-after')), body['waitSeconds']);
    assert.ok((body['waitSeconds'] as number) >= 45 && (body['waitSeconds'] as number) <= 50);
    assert.equal((await eventsOf(body['consumptionId'] as string)).length, 1, 'recorded before it was answered');
    const never = await rig.consume({ userId, provider: 'openai', tokens: 1_001 });
    assert.equal(never.status, 429);
    assert.equal(never.headers.get('retry-after'), null);
    const explained = await rig.get(`/api/v1/tokens/consume/${String(never.body['consumptionId'])}`, userId);
    assert.deepEqual([explained.body['state'], explained.body['workflowId']], ['REFUSED', null]);
  });

  it('429 above the whole bucket says what frees the call, and a higher tier does: the same call under the same key goes through', async () => {
    const { userId } = await owner(5_000);
    const quota = createQuotaStore(database().pool);
    await quota.setPolicy('user', userId, { tier: 'FREE', zone: 'UTC', custom: null });
    const call = () => rig.consume({ userId, provider: 'openai', tokens: 600 }, { 'idempotency-key': 'large' });
    const refused = await call();
    assert.deepEqual([refused.status, refused.body['waitSeconds'], refused.headers.get('retry-after')], [429, null, null]);
    assert.match(String(refused.body['message']), /At this tier .* 500 tokens at most: no wait .* at most 500, or for a higher tier/);
    await quota.setPolicy('user', userId, { tier: 'BRONZE', zone: 'UTC', custom: null });
    await eventually('the tier is in force', async () => (await call()).status === 200, 8_000);
  });

  it('502 after the retries when the provider fails, 504 when it is too slow; all is released', async () => {
    const { userId, balance } = await owner(100);
    const failed = await rig.consume({ userId, provider: 'openai', tokens: 10, prompt: '[stub:fail]' });
    assert.deepEqual([failed.status, failed.body['message']], [502, 'provider call failed']);
    assert.equal(failed.headers.get('x-leaky-fault-origin'), 'provider');
    const slow = await rig.consume({ userId, provider: 'qwen', tokens: 10, prompt: '[stub:hang]' });
    assert.equal(slow.status, 402, 'another provider has a pool of its own');
    const hung = await rig.consume({ userId, provider: 'openai', tokens: 10, prompt: '[stub:hang]' });
    assert.equal(hung.status, 504);
    assert.deepEqual([(await balance())['purchased'], (await balance())['reserved']], [100, 0]);
    const explained = await rig.get(`/api/v1/tokens/consume/${String(failed.body['consumptionId'])}`, userId);
    assert.deepEqual([explained.body['state'], explained.body['attempts']], ['RELEASED', 3]);
  });

  it('a slow item does not hold up the others of its batch', async () => {
    const { userId } = await owner(1_000);
    const finished: string[] = [];
    const slow = rig
      .consume({ userId, provider: 'openai', tokens: 1, prompt: '[stub:slow=450]' })
      .then((a) => finished.push(`slow ${a.status}`));
    await Promise.all(
      Array.from({ length: 20 }, () =>
        rig.consume({ userId, provider: 'openai', tokens: 1 }).then((a) => finished.push(`fast ${a.status}`)),
      ),
    );
    assert.deepEqual(new Set(finished), new Set(['fast 200']));
    await slow;
    assert.equal(finished.at(-1), 'slow 200');
  });

  it('under an Idempotency-Key: one charge, one answer, for retries one by one and at once', async () => {
    const { userId, balance } = await owner(100);
    const key = { 'idempotency-key': 'order-1' };
    const command = { userId, provider: 'openai', tokens: 10, prompt: 'once' };
    const first = await rig.consume(command, key);
    const again = await rig.consume(command, key);
    assert.deepEqual(again.body, first.body);
    assert.equal(again.headers.get('idempotent-replayed'), 'true');
    const other = { 'idempotency-key': 'order-2' };
    const many = await Promise.all(Array.from({ length: 20 }, () => rig.consume(command, other)));
    const answered = many.filter(({ status }) => status === 200);
    assert.ok(answered.length >= 5, `the first and the few that may wait for it: ${answered.length}`);
    assert.equal(new Set(answered.map((answer) => JSON.stringify(answer.body))).size, 1);
    for (const { status, body, headers: told } of many.filter((answer) => !answered.includes(answer))) {
      assert.deepEqual([status, body['code'], told.get('retry-after')], [409, 'IDEMPOTENCY_IN_FLIGHT', '1']);
    }
    assert.equal((await balance())['consumed_total'], 20);
    const reused = await rig.consume({ ...command, tokens: 11 }, key);
    assert.deepEqual([reused.status, reused.body['code']], [409, 'IDEMPOTENCY_KEY_REUSED']);
    const { userId: someoneElse } = await owner(100);
    assert.equal((await rig.consume({ ...command, userId: someoneElse }, key)).status, 200, 'keys are apart for each user');
  });

  it('keeps the first outcome of a key that was refused for quota, but not of one that was told to wait', async () => {
    const { userId, pool } = await owner(0);
    const key = { 'idempotency-key': 'k' };
    assert.equal((await rig.consume({ userId, provider: 'openai', tokens: 5 }, key)).status, 402);
    await buy(database().pool, pool, 5_000);
    const replayed = await rig.consume({ userId, provider: 'openai', tokens: 5 }, key);
    assert.deepEqual([replayed.status, replayed.headers.get('idempotent-replayed')], [402, 'true']);
    await rig.consume({ userId, provider: 'openai', tokens: 999 });
    const waiting = { 'idempotency-key': 'w' };
    const overflow = await rig.consume({ userId, provider: 'openai', tokens: 10 }, waiting);
    assert.equal(overflow.status, 429);
    await readUntil(
      'the call works',
      () => rig.consume({ userId, provider: 'openai', tokens: 10 }, waiting),
      (answer) => answer.status === 200,
      15_000,
    );
  });

  const bad: [string, object, string][] = [
    ['no provider', { tokens: 1 }, 'provider'],
    ['unknown provider', { provider: 'llama', tokens: 1 }, 'provider'],
    ['no tokens', { provider: 'openai' }, 'tokens'],
    ['zero tokens', { provider: 'openai', tokens: 0 }, 'tokens'],
    ['too many tokens', { provider: 'openai', tokens: 10_001 }, 'tokens'],
    ['a fraction', { provider: 'openai', tokens: 1.5 }, 'tokens'],
    ['a string', { provider: 'openai', tokens: '3' }, 'tokens'],
    ['a user id that is none', { userId: 'me', provider: 'openai', tokens: 1 }, 'userId'],
    ['a prompt with NUL', { provider: 'openai', tokens: 1, prompt: 'a\0b' }, 'prompt'],
    ['a prompt with half a character', { provider: 'openai', tokens: 1, prompt: '\ud800' }, 'prompt'],
    ['a tag with spaces', { provider: 'openai', tokens: 1, tag: 'a b' }, 'tag'],
  ];
  for (const [name, body, field] of bad) {
    it(`400 names the field: ${name}`, async () => {
      const { userId } = await owner(0);
      const answer = await rig.consume({ userId, ...body }, { 'x-test-user': userId });
      assert.equal(answer.status, 400);
      assert.match(answer.headers.get('content-type') ?? '', /problem\+json/);
      assert.equal((answer.body['errors'] as { field: string }[])[0]?.field, field);
    });
  }

  it('403 for another user id, 409 and 400 for bad keys', async () => {
    const { userId } = await owner(10);
    assert.equal((await rig.consume({ userId, provider: 'openai', tokens: 1 }, { 'x-test-user': randomUUID() })).status, 403);
    assert.equal((await rig.consume({ userId, orgId: randomUUID(), provider: 'openai', tokens: 1 })).status, 403);
    assert.equal((await rig.consume({ userId, provider: 'openai', tokens: 1 }, { 'idempotency-key': 'x'.repeat(101) })).status, 400);
  });
});
