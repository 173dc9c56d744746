import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { readUntil } from '../support/eventually.js';
import { withBench } from './bench.js';
import { someone, withApi, type Answer, type Person } from './http-support.js';

const purchaseOf = (person: Person, over: object = {}) => ({ userId: person.userId, provider: 'openai', tokens: 5_000, ...over });
const DONE = ['COMPLETED', 'FAILED'];

describe('the purchase API', function () {
  this.timeout(60_000);
  const bench = withBench();
  const api = withApi(bench);
  const view = (as: Person, sagaId: unknown) => api.call(as, `/purchase/${String(sagaId)}`);
  const ended = (as: Person, sagaId: unknown) =>
    readUntil(
      'the purchase ends',
      () => view(as, sagaId),
      ({ body }) => DONE.includes(String(body['status'])),
    );
  const problem = (answer: Answer, status: number, code: string) => {
    assert.deepEqual([answer.status, answer.body['code']], [status, code], JSON.stringify(answer.body));
    assert.match(String(answer.headers.get('content-type')), /^application\/problem\+json/);
  };

  const capAt = (buyer: Person, cap: number) =>
    bench
      .pool()
      .query(`INSERT INTO quota_policies (owner_kind, owner_id, tier, custom) VALUES ('user', $1, 'ENTERPRISE', $2)`, [
        buyer.userId,
        { capacityMultiplier: 1, leakMultiplier: 1, allowance: 0, cap },
      ]);

  it('202, then COMPLETED', async () => {
    const buyer = someone();
    const { status, body } = await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { unknownMember: 1 }), key: 'first' });
    assert.equal(status, 202);
    assert.equal(body['status'], 'STARTED');
    const done = (await ended(buyer, body['sagaId'])).body;
    assert.deepEqual(
      [done['status'], done['userId'], done['orgId'], done['tokens'], done['idempotencyKey'], done['createdAt']],
      ['COMPLETED', buyer.userId, null, 5_000, 'first', body['createdAt']],
    );
  });

  it('40 parallel purchases with one key are one saga and one charge, also when it fills the pool to its cap', async () => {
    const buyer = someone();
    await capAt(buyer, 5_000);
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'k' })),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
    assert.equal(new Set(answers.map(({ body }) => `${String(body['sagaId'])} ${String(body['createdAt'])}`)).size, 1);
    const sagaId = answers[0]?.body['sagaId'];
    await ended(buyer, sagaId);
    const { rows } = await bench.pool().query('SELECT captures FROM sim_payments WHERE payment_key = $1', [sagaId]);
    assert.deepEqual(rows, [{ captures: 1 }]);
    const pool = await bench.pool().query('SELECT purchased_remaining FROM pools WHERE owner_id = $1', [buyer.userId]);
    assert.deepEqual(pool.rows, [{ purchased_remaining: 5_000 }]);
    const { items } = (await api.call(buyer, '/purchases')).body;
    assert.deepEqual(
      (items as { id: string }[]).map(({ id }) => id),
      [sagaId],
    );
  });

  it('409 for another payload under a key, and keys are apart for each user', async () => {
    const [buyer, other] = [someone(), someone()];
    const first = await api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'k' });
    const conflicting = (over: object) => api.call(buyer, '/purchase', { body: purchaseOf(buyer, over), key: 'k' });
    problem(await conflicting({ tokens: 5_001 }), 409, 'IDEMPOTENCY_KEY_REUSED');
    await ended(buyer, first.body['sagaId']);
    problem(await conflicting({ provider: 'qwen' }), 409, 'IDEMPOTENCY_KEY_REUSED');
    const second = await api.call(other, '/purchase', { body: purchaseOf(other), key: 'k' });
    assert.equal(second.status, 202);
    assert.notEqual(second.body['sagaId'], first.body['sagaId']);
  });

  it('400 for each kind of bad input, with the field named', async () => {
    const buyer = someone();
    for (const [over, field] of [
      [{ tokens: 0 }, 'tokens'],
      [{ tokens: 1_000_001 }, 'tokens'],
      [{ tokens: 1.5 }, 'tokens'],
      [{ tokens: '5' }, 'tokens'],
      [{ provider: 'acme' }, 'provider'],
      [{ userId: 'me' }, 'userId'],
      [{ orgId: 'us' }, 'orgId'],
      [{ paymentMethod: 'sim_free' }, 'paymentMethod'],
    ] as const) {
      const answer = await api.call(buyer, '/purchase', { body: purchaseOf(buyer, over) });
      problem(answer, 400, 'INVALID_REQUEST');
      assert.equal((answer.body['errors'] as { field: string }[])[0]?.field, field);
    }
    problem(await api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'x'.repeat(101) }), 400, 'INVALID_REQUEST');
    assert.equal((await api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'x'.repeat(100) })).status, 202);
    problem(await api.call(buyer, '/purchase', { body: [] }), 400, 'INVALID_REQUEST');
    problem(await api.call(buyer, '/purchases?limit=101'), 400, 'INVALID_REQUEST');
    problem(await api.call(buyer, '/purchases?cursor=abc'), 400, 'INVALID_REQUEST');
    problem(await api.call(buyer, '/purchase/nonsense'), 400, 'INVALID_REQUEST');
  });

  it('400 over the cap, before any payment; the key that used the room up is answered all the same', async () => {
    const buyer = someone();
    await capAt(buyer, 5_000);
    problem(await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { tokens: 5_001 }) }), 400, 'POOL_CAP_EXCEEDED');
    const first = await api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'k' });
    await ended(buyer, first.body['sagaId']);
    const again = await api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'k' });
    assert.deepEqual([again.status, again.body['sagaId'], again.body['status']], [202, first.body['sagaId'], 'COMPLETED']);
    problem(await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { tokens: 1 }) }), 400, 'POOL_CAP_EXCEEDED');
    const { rows } = await bench.pool().query('SELECT count(*) AS n FROM token_purchase_saga WHERE user_id = $1', [buyer.userId]);
    assert.deepEqual(rows, [{ n: 1 }]);
  });

  it('403 for another user and for an organisation one is not in; ADMIN may', async () => {
    const [buyer, other, admin] = [someone(), someone(), someone('ADMIN')];
    const orgId = randomUUID();
    problem(await api.call(other, '/purchase', { body: purchaseOf(buyer) }), 403, 'FORBIDDEN');
    problem(await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { orgId }) }), 403, 'FORBIDDEN');
    problem(await api.call(other, `/purchases?userId=${buyer.userId}`), 403, 'FORBIDDEN');
    api.orgs.set(orgId, [buyer.userId]);
    const first = await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { orgId }) });
    assert.equal((await ended(buyer, first.body['sagaId'])).body['status'], 'COMPLETED');
    assert.equal((await api.call(admin, '/purchase', { body: purchaseOf(buyer) })).status, 202);
    const { rows } = await bench.pool().query('SELECT owner_kind FROM pools WHERE owner_id = $1', [orgId]);
    assert.deepEqual(rows, [{ owner_kind: 'org' }]);
  });

  it('404 for an unknown saga and for someone else\u2019s', async () => {
    const [buyer, other, admin] = [someone(), someone(), someone('ADMIN')];
    const { sagaId } = (await api.call(buyer, '/purchase', { body: purchaseOf(buyer) })).body;
    for (const id of [randomUUID(), sagaId]) {
      problem(await view(other, id), 404, 'NOT_FOUND');
      problem(await api.call(other, `/purchase/${String(id)}/cancel`, { method: 'POST' }), 404, 'NOT_FOUND');
    }
    assert.equal((await view(admin, sagaId)).status, 200);
  });

  it('lists newest first, page by page, each purchase once', async () => {
    const buyer = someone();
    const made: unknown[] = [];
    for (let i = 0; i < 5; i++) made.unshift((await api.call(buyer, '/purchase', { body: purchaseOf(buyer) })).body['sagaId']);
    for (const sagaId of made) await ended(buyer, sagaId);
    const seen: unknown[] = [];
    for (let cursor: unknown = ''; cursor !== null;) {
      const { body } = await api.call(buyer, `/purchases?userId=${buyer.userId}&limit=2${cursor ? `&cursor=${String(cursor)}` : ''}`);
      seen.push(...(body['items'] as { id: string }[]).map(({ id }) => id));
      cursor = body['nextCursor'];
    }
    assert.deepEqual(seen, made);
  });

  it('cancels with 202 before the point of no return, also when repeated, while it is undone and afterwards', async () => {
    const buyer = someone();
    const { sagaId } = (await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { paymentMethod: 'sim_slow:20000' }) })).body;
    const cancel = () => api.call(buyer, `/purchase/${String(sagaId)}/cancel`, { method: 'POST' });
    for (const _ of ['first', 'second', 'third']) {
      const { status, body } = await cancel();
      assert.equal(status, 202, JSON.stringify(body));
      assert.equal(body['sagaId'], sagaId);
    }
    const { body } = await ended(buyer, sagaId);
    assert.deepEqual([body['status'], body['failureReason']], ['FAILED', 'CANCELLED']);
    assert.deepEqual((await cancel()).status, 202);
  });

  it('409 for a cancellation past the point of no return', async () => {
    const buyer = someone();
    const { sagaId } = (await api.call(buyer, '/purchase', { body: purchaseOf(buyer, { paymentMethod: 'sim_slow_capture:4000' }) })).body;
    await readUntil(
      'the capture is under way',
      () => bench.pool().query(`SELECT 1 FROM sim_payments WHERE payment_key = $1 AND state = 'CAPTURED'`, [sagaId]),
      ({ rowCount }) => rowCount === 1,
    );
    problem(await api.call(buyer, `/purchase/${String(sagaId)}/cancel`, { method: 'POST' }), 409, 'NOT_CANCELLABLE');
    assert.equal((await ended(buyer, sagaId)).body['status'], 'COMPLETED');
  });
});

describe('the purchase API above the approval limit', function () {
  this.timeout(60_000);
  const bench = withBench();
  const api = withApi(bench, { env: { LEAKY_APPROVAL_ABOVE_TOKENS: '1000' } });

  it('waits for an ADMIN: 403 for the buyer, 202 for the ADMIN, 409 once ended', async () => {
    const [buyer, admin] = [someone(), someone('ADMIN')];
    const { sagaId } = (await api.call(buyer, '/purchase', { body: purchaseOf(buyer) })).body;
    const approve = (as: Person) => api.call(as, `/purchase/${String(sagaId)}/approve`, { method: 'POST' });
    assert.equal((await approve(buyer)).status, 403);
    assert.equal((await approve(admin)).status, 202);
    await readUntil(
      'it completes',
      () => api.call(buyer, `/purchase/${String(sagaId)}`),
      ({ body }) => body['status'] === 'COMPLETED',
    );
    await readUntil(
      'the workflow has ended',
      () => approve(admin),
      ({ status }) => status === 409,
    );
    assert.equal((await api.call(admin, `/purchase/${randomUUID()}/retry`, { method: 'POST' })).status, 404);
  });
});

describe('the purchase API without a worker', function () {
  this.timeout(60_000);
  const bench = withBench({ worker: false });
  const api = withApi(bench, { deadlineMs: 1_000 });

  it('accepts, answers STARTED from the workflow, keeps the key, and the purchase completes when a worker comes', async () => {
    const buyer = someone();
    const post = (tokens: number) => api.call(buyer, '/purchase', { body: purchaseOf(buyer, { tokens }), key: 'k' });
    const { status, body } = await post(5_000);
    assert.equal(status, 202);
    assert.deepEqual((await post(5_000)).body, body);
    assert.equal((await post(5_001)).status, 409);
    const path = `/purchase/${String(body['sagaId'])}`;
    const early = await api.call(buyer, path);
    assert.deepEqual([early.status, early.body['status'], early.body['tokens'], early.body['orgId']], [200, 'STARTED', 5_000, null]);
    assert.equal((await api.call(someone(), path)).status, 404);
    assert.equal((await api.call(buyer, `${path}/cancel`, { method: 'POST' })).status, 503);
    await bench.work();
    await readUntil(
      'it ends',
      () => api.call(buyer, path),
      (answer) => DONE.includes(String(answer.body['status'])),
    );
  });
});

describe('the purchase API without a workflow engine', function () {
  this.timeout(60_000);
  const bench = withBench({ worker: false });
  const sockets = new Set<Socket>();
  let silence: Server | undefined;
  let connection: Connection | undefined;
  before('a server that takes connections and never answers', async () => {
    const server = createServer((socket) => void sockets.add(socket));
    silence = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    connection = Connection.lazy({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
  });
  after('close it', async () => {
    await connection?.close();
    for (const socket of sockets) socket.destroy();
    silence?.close();
  });
  const api = withApi(bench, { client: () => new Client(connection && { connection }), deadlineMs: 500 });

  it('503 with Retry-After and the saga id, in bounded time', async () => {
    const buyer = someone();
    const began = Date.now();
    const answer = await api.call(buyer, '/purchase', { body: purchaseOf(buyer), key: 'k' });
    assert.deepEqual([answer.status, answer.body['code']], [503, 'ENGINE_UNAVAILABLE']);
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    assert.match(String(answer.body['sagaId']), /^[0-9a-f-]{36}$/);
    assert.ok(Date.now() - began < 3_000, 'within its deadline');
  });
});

describe('the purchase API with the flag sagaPurchases off', function () {
  const bench = withBench({ worker: false });
  const api = withApi(bench, { env: { LEAKY_FLAG_SAGA_PURCHASES: 'false' } });

  it('503 that says so', async () => {
    const buyer = someone();
    const answer = await api.call(buyer, '/purchase', { body: purchaseOf(buyer) });
    assert.equal(answer.status, 503);
    assert.match(String(answer.body['detail']), /sagaPurchases/);
  });
});
