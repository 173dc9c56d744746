import {
  ActivityFailure,
  ApplicationFailure,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  log,
  rootCause,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { CANCELLED_ALREADY, PURCHASE_MESSAGES, type PurchaseOrder, type PurchaseState } from '../contracts/temporal.js';
import { Interruptible } from './interruptible.js';
import { PurchaseBoard, type Refusal } from './purchase-board.js';
import * as steps from './purchase-steps.js';
import { type Parked, Persistence, Saga, type SureStep } from './saga.js';

const statusQuery = defineQuery<PurchaseState>(PURCHASE_MESSAGES.status);
const approveSignal = defineSignal(PURCHASE_MESSAGES.approve);
const retryNowSignal = defineSignal(PURCHASE_MESSAGES.retryNow);
const cancelUpdate = defineUpdate<PurchaseState>(PURCHASE_MESSAGES.cancel);

type Outcome = 'CAPTURED' | 'NOT_OURS' | Refusal;

const refuse = (reason: Refusal['reason'], detail: string): Refusal => ({ reason, detail });

/**
 * Buys quota: STARTED → PAYMENT_RESERVED → TOKENS_ALLOCATED → capture, the point of no return → COMPLETED; or FAILED from anywhere before
 * a confirmed capture, after everything done so far has been undone. Always completes with its state: a refusal is a value.
 *
 * Laws: the payment is captured at most once; captured means posted, refunded, or this workflow is still running. The limit covers
 * everything up to a confirmed capture. A capture whose outcome is not known is repeated under the same key; if it is
 * still not known at the limit, the money is given back in whatever state it is, and the tokens are voided.
 */
export async function purchaseQuota(order: PurchaseOrder): Promise<PurchaseState> {
  const board = new PurchaseBoard(order);
  const persistence = new Persistence(
    (parked) => announce(order, board, parked),
    order.revision === 3 ? () => steps.reachStores(order) : null,
  );
  const saga = new Saga(persistence);
  const purchase = new Interruptible<Refusal>();
  const state = () => board.state(saga.pending);
  let approved = !order.needsApproval;
  /** The provider's own id of the payment, where it has one */
  let paymentId: string | null = null;

  setHandler(statusQuery, state);
  setHandler(approveSignal, () => void (approved = true));
  setHandler(retryNowSignal, () => persistence.retryNow());
  setHandler(
    cancelUpdate,
    () => {
      board.cancellable = false;
      board.cancelled = true;
      purchase.interrupt(refuse('CANCELLED', 'cancelled on request'));
      return state();
    },
    { validator: () => validateCancel(board) },
  );

  async function buy(): Promise<Outcome> {
    const head = await steps.openSaga(order, workflowInfo().firstExecutionRunId);
    if (head.runId !== workflowInfo().firstExecutionRunId) {
      board.adopt(head);
      return 'NOT_OURS';
    }
    if (!approved) {
      board.doing('waiting for approval');
      await condition(() => approved);
    }

    board.doing('reserving the payment');
    const nothingHeld = saga.compensateWith(release(order, () => paymentId));
    const payment = await steps.reservePayment(order);
    if (!payment.ok) {
      nothingHeld(); // declined is final for the key: nothing is held
      return refuse('PAYMENT_DECLINED', payment.detail);
    }
    paymentId = payment.paymentId ?? null;
    board.paymentId = paymentId;
    board.reached('PAYMENT_RESERVED');

    saga.compensateWith(voiding(order));
    const allocation = await steps.allocateTokens(order);
    if (!allocation.ok) return refuse('POOL_CAP_EXCEEDED', 'the tokens would exceed what the pool may hold');
    board.reached('TOKENS_ALLOCATED');

    board.cancellable = false;
    board.doing('capturing the payment');
    const capture = await steps.capturePayment(order, paymentId);
    return capture.ok ? 'CAPTURED' : refuse('CAPTURE_DECLINED', capture.detail);
  }

  const limit = { ms: order.limitSeconds * 1000, cause: () => limitReached(order, approved, board) };
  const outcome = await purchase.run(limit, refuse('CANCELLED', 'the workflow was cancelled'), () => buy().catch(stepFailed));

  if (outcome === 'NOT_OURS') {
    log.warn('another execution has this purchase', { sagaId: order.sagaId });
    board.doing('nothing: another execution of this workflow owns the purchase');
  } else if (outcome === 'CAPTURED') {
    board.doing('payment captured, posting the tokens');
    await persistence.insist(completing(order));
    board.doing('done');
    board.reached('COMPLETED');
  } else {
    board.refused(outcome);
    board.doing('undoing what was done');
    await saga.compensate();
    await persistence.insist(failing(order, outcome));
    board.doing('ended');
    board.reached('FAILED');
  }
  board.cancellable = false;
  return board.state(outcome === 'CAPTURED' ? [] : saga.pending);
}

function validateCancel(board: PurchaseBoard): void {
  if (board.cancellable) return;
  // A repeat is refused here, so that it adds nothing to the history; the caller is told by the type that it is one.
  const repeated = board.cancelled || board.refusal?.reason === 'CANCELLED';
  if (repeated) throw ApplicationFailure.nonRetryable('The purchase is being cancelled already', CANCELLED_ALREADY);
  const why = board.refusal ? 'it is failing already' : `it is past the point of no return or ending (${board.status})`;
  throw ApplicationFailure.nonRetryable(`The purchase cannot be cancelled: ${why}`, 'NOT_CANCELLABLE');
}

function limitReached({ limitSeconds }: PurchaseOrder, approved: boolean, board: PurchaseBoard): Refusal {
  if (!approved) return refuse('APPROVAL_MISSING', `nobody approved the purchase within ${limitSeconds} s`);
  return refuse('LIMIT_REACHED', `not done within ${limitSeconds} s, stopped while: ${board.state([]).step}`);
}

/** A step that failed for good ends the purchase; a cancellation is passed on to whoever caused it. */
function stepFailed(error: unknown): Refusal {
  if (!(error instanceof ActivityFailure) || error.cause?.name === 'CancelledFailure') throw error;
  log.error('a step of the purchase failed', { activity: error.activityType, error: rootCause(error) });
  return refuse('STEP_FAILED', `${error.activityType}: ${rootCause(error) ?? error.message}`);
}

async function announce(order: PurchaseOrder, board: PurchaseBoard, parked: Parked | null): Promise<void> {
  board.park(parked);
  try {
    await steps.reportParked(order, parked && `${parked.step.name}: ${parked.error}`);
  } catch (error) {
    log.warn('could not tell operators; the search attribute LeakySagaParked says it', { error: rootCause(error) });
  }
}

const release = (order: PurchaseOrder, paymentId: () => string | null): SureStep => ({
  name: 'release the payment',
  get remedy() {
    const payment = paymentId() ?? order.sagaId;
    return `Look payment ${payment} up at the payment provider and see why it cannot be released or refunded.`;
  },
  run: () => steps.releasePayment(order, paymentId()),
});

const voiding = (order: PurchaseOrder): SureStep => ({
  name: 'void the pending tokens',
  remedy: 'See why the ledger cannot be written.',
  run: () => steps.voidTokens(order),
});

const completing = (order: PurchaseOrder): SureStep => ({
  name: 'post the tokens that are paid for',
  remedy: 'See why the ledger cannot be written; the money is taken and the buyer waits.',
  run: () => steps.completePurchase(order),
});

const failing = (order: PurchaseOrder, { reason, detail }: Refusal): SureStep => ({
  name: 'write the failure down',
  remedy: 'See why the table token_purchase_saga cannot be written.',
  run: () => steps.failPurchase(order, workflowInfo().firstExecutionRunId, reason, detail),
});
