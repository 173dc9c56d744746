import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { PURCHASE_MESSAGES, type PurchaseState } from '../../contracts/temporal.js';
import { readUntil } from '../support/eventually.js';
import { callsOf, eventsOf, orderOf, paymentOf, withBench } from './bench.js';

const cancellable = (wanted: boolean) => (state: PurchaseState) => state.cancellable === wanted;

describe('a purchase', function () {
  this.timeout(60_000);
  const bench = withBench();
  const { start, ended, until, handle } = bench;
  const payment = (order: ReturnType<typeof orderOf>) => paymentOf(bench.pool(), order);

  it('completes: captured once, tokens spendable, every transition an event', async () => {
    const order = orderOf();
    await start(order);
    const state = await ended(order, 'completed');
    assert.equal(state.status, 'COMPLETED');
    assert.deepEqual(await payment(order), { state: 'CAPTURED', captures: 1, refunds: 0 });
    assert.deepEqual(await eventsOf(bench.pool(), order), [
      'TOKEN_PURCHASE_STARTED',
      'TOKEN_PURCHASE_PAYMENT_RESERVED',
      'TOKEN_PURCHASE_TOKENS_ALLOCATED',
      'TOKEN_PURCHASE_COMPLETED',
    ]);
    const { rows } = await bench.pool().query('SELECT purchased_remaining, pending FROM pools WHERE owner_id = $1', [order.userId]);
    assert.deepEqual(rows, [{ purchased_remaining: order.tokens, pending: 0 }]);
  });

  it('fails when the payment is declined, with nothing to undo', async () => {
    const order = orderOf({ method: 'sim_decline' });
    await start(order);
    const state = await ended(order, 'declined');
    assert.equal(state.failureReason, 'PAYMENT_DECLINED');
    assert.deepEqual(await payment(order), { state: 'DECLINED', captures: 0, refunds: 0 });
    assert.deepEqual(await eventsOf(bench.pool(), order), ['TOKEN_PURCHASE_STARTED', 'TOKEN_PURCHASE_FAILED']);
  });

  it('releases the hold and voids the tokens when the capture is declined', async () => {
    const order = orderOf({ method: 'sim_capture_fails' });
    await start(order);
    const state = await ended(order, 'capture-declined');
    assert.equal(state.failureReason, 'CAPTURE_DECLINED');
    assert.deepEqual(await payment(order), { state: 'RELEASED', captures: 0, refunds: 0 });
    assert.ok((await eventsOf(bench.pool(), order)).includes('PAYMENT_RELEASE_REQUESTED'));
  });

  it('of two that together exceed the cap, one completes and the other gives its payment back', async () => {
    const userId = randomUUID();
    const custom = { capacityMultiplier: 1, leakMultiplier: 1, allowance: 0, cap: 1_000 };
    await bench
      .pool()
      .query(`INSERT INTO quota_policies (owner_kind, owner_id, tier, custom) VALUES ('user', $1, 'ENTERPRISE', $2)`, [userId, custom]);
    const orders = [orderOf({ userId, tokens: 600 }), orderOf({ userId, tokens: 600 })];
    await Promise.all(orders.map(start));
    const states = await Promise.all(orders.map((order) => ended(order)));
    assert.deepEqual(states.map(({ status }) => status).sort(), ['COMPLETED', 'FAILED']);
    const loser = states.findIndex(({ status }) => status === 'FAILED');
    assert.equal(states[loser]?.failureReason, 'POOL_CAP_EXCEEDED');
    await ended(orders[loser] ?? orderOf(), 'over-cap');
    assert.equal((await payment(orders[loser] ?? orderOf()))?.state, 'RELEASED');
  });

  it('that is cancelled early gives the hold back', async () => {
    const order = orderOf({ method: 'sim_slow:20000' });
    await start(order);
    await readUntil(
      'the money is held',
      () => payment(order),
      (row) => row?.state === 'AUTHORIZED',
    );
    const answer = await handle(order).executeUpdate<PurchaseState, []>(PURCHASE_MESSAGES.cancel);
    assert.equal(answer.cancellable, false);
    await assert.rejects(handle(order).executeUpdate(PURCHASE_MESSAGES.cancel), 'a second cancellation is refused');
    const state = await ended(order, 'cancelled');
    assert.equal(state.failureReason, 'CANCELLED');
    assert.deepEqual(await payment(order), { state: 'RELEASED', captures: 0, refunds: 0 });
  });

  it('cannot be cancelled past the point of no return', async () => {
    const order = orderOf({ method: 'sim_slow_capture:4000' });
    await start(order);
    await until(order, (state) => state.status === 'TOKENS_ALLOCATED' && !state.cancellable, 'the capture is under way');
    await assert.rejects(handle(order).executeUpdate(PURCHASE_MESSAGES.cancel), (error) => {
      assert.ok(error instanceof WorkflowUpdateFailedError);
      assert.match(String(error.cause?.message), /past the point of no return/);
      return true;
    });
    assert.equal((await ended(order, 'cancel-refused')).status, 'COMPLETED');
  });

  it('whose workflow is cancelled by an operator undoes itself all the same', async () => {
    const order = orderOf({ needsApproval: true });
    await start(order);
    await until(order, ({ step }) => step === 'waiting for approval', 'it waits');
    await handle(order).cancel();
    assert.equal((await ended(order, 'workflow-cancelled')).failureReason, 'CANCELLED');
    assert.equal(await payment(order), null);
  });

  it('goes on once it is approved', async () => {
    const order = orderOf({ needsApproval: true });
    await start(order);
    await until(order, (state) => state.step === 'waiting for approval' && cancellable(true)(state), 'it waits');
    assert.equal(await payment(order), null, 'no money moves before the approval');
    await handle(order).signal(PURCHASE_MESSAGES.approve);
    assert.equal((await ended(order, 'approved')).status, 'COMPLETED');
  });
});

describe('a purchase whose payment provider does not answer', function () {
  this.timeout(60_000);
  const bench = withBench();
  const { start, ended, until, handle } = bench;
  const payment = (order: ReturnType<typeof orderOf>) => paymentOf(bench.pool(), order);
  // All of these wait for back-offs and limits, so they wait together.
  const orders = {
    lostAnswers: orderOf({ method: 'sim_timeout' }),
    lostReserve: orderOf({ method: 'sim_timeout_reserve:1' }),
    unknownCapture: orderOf({ method: 'sim_capture_timeout', limitSeconds: 8 }),
    limit: orderOf({ method: 'sim_timeout_reserve:1000', limitSeconds: 4 }),
    unapproved: orderOf({ needsApproval: true, limitSeconds: 3 }),
    parked: orderOf({ method: 'sim_release_fails:5' }),
  };
  before('start them', async () => {
    await Promise.all(Object.values(orders).map(start));
  });

  it('captures once when the money was taken and the answers were lost', async () => {
    const state = await ended(orders.lostAnswers, 'capture-answers-lost');
    assert.equal(state.status, 'COMPLETED');
    assert.deepEqual(await callsOf(bench.pool(), orders.lostAnswers, 'CAPTURE'), ['CAPTURED/TIMEOUT', 'NONE/TIMEOUT', 'NONE/OK']);
  });

  it('holds once when the reservation\u2019s answer was lost', async () => {
    assert.equal((await ended(orders.lostReserve)).status, 'COMPLETED');
    assert.deepEqual(await callsOf(bench.pool(), orders.lostReserve, 'RESERVE'), ['AUTHORIZED/TIMEOUT', 'NONE/OK']);
  });

  it('refunds when the capture is still unknown at the limit', async () => {
    const state = await ended(orders.unknownCapture, 'capture-unknown-refunded');
    assert.equal(state.failureReason, 'LIMIT_REACHED');
    assert.match(String(state.failureDetail), /capturing the payment/);
    assert.deepEqual(await payment(orders.unknownCapture), { state: 'REFUNDED', captures: 1, refunds: 1 });
  });

  it('releases when the reservation is still unknown at the limit', async () => {
    assert.equal((await ended(orders.limit, 'limit-reached')).failureReason, 'LIMIT_REACHED');
    assert.deepEqual(await payment(orders.limit), { state: 'RELEASED', captures: 0, refunds: 0 });
  });

  it('fails when nobody approves it within the limit', async () => {
    assert.equal((await ended(orders.unapproved, 'approval-missing')).failureReason, 'APPROVAL_MISSING');
  });

  it('parks in sight when the release keeps failing, and ends after retryNow', async () => {
    const order = orders.parked;
    const parked = await until(order, (state) => state.parked, 'it is parked');
    assert.equal(parked.failureReason, 'CAPTURE_DECLINED');
    assert.deepEqual(parked.pendingCompensations, ['release the payment']);
    const found = () => bench.temporal().client.workflow.count(`LeakySagaParked = true AND LeakyUserId = "${order.userId}"`);
    await readUntil('a search finds it', found, ({ count }) => count === 1);
    await readUntil(
      'its row says so',
      () => bench.pool().query('SELECT 1 FROM token_purchase_saga WHERE id = $1 AND parked_on IS NOT NULL', [order.sagaId]),
      ({ rowCount }) => rowCount === 1,
    );
    await handle(order).signal(PURCHASE_MESSAGES.retryNow);
    const state = await ended(order, 'parked-retried');
    assert.deepEqual([state.status, state.parked], ['FAILED', false]);
    assert.deepEqual(await payment(order), { state: 'RELEASED', captures: 0, refunds: 0 });
    await readUntil('a search finds it no more', found, ({ count }) => count === 0);
  });
});
