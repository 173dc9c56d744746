import { ApplicationFailure, Context } from '@temporalio/activity';
import type { PurchaseEventType } from '../contracts/events.js';
import { poolOf, STORE_AWAY, type PurchaseFailure, type PurchaseOrder, type SagaStatus } from '../contracts/temporal.js';
import type { Logger } from '../telemetry/log.js';
import { metrics } from '../telemetry/metrics.js';
import type { AllocationOutcome, PurchaseEventSink, PurchaseLedger } from './ports.js';
import { isOutage } from '../platform/outages.js';
import {
  PaymentOutcomeUnknown,
  type Payment,
  type PaymentOutcome,
  type Payments,
  type SagaHead,
  type SagaStore,
} from './purchase-ports.js';

const HEARTBEAT_MS = 1_000;

export interface PurchaseActivityDeps {
  payments: Payments;
  ledger: PurchaseLedger;
  sagas: SagaStore;
  events: PurchaseEventSink;
  log: Logger;
}

export type PurchaseActivities = ReturnType<typeof createPurchaseActivities>;

/**
 * The steps of a purchase. Each does its work, then moves the saga row, then publishes its event; all three are idempotent on the
 * saga id, so an attempt that dies between them is simply repeated. The row refuses to move out of an ended purchase, which
 * makes an attempt that arrives late (given up on at the limit, still running somewhere) harmless.
 */
export function createPurchaseActivities({ payments, ledger, sagas, events, log }: PurchaseActivityDeps) {
  const publish = (order: PurchaseOrder, type: PurchaseEventType, failureReason: string | null = null) =>
    events.publish({
      id: `${order.sagaId}:${type}`,
      type,
      timestamp: new Date().toISOString(),
      sagaId: order.sagaId,
      userId: order.userId,
      orgId: order.orgId,
      provider: order.provider,
      tokens: order.tokens,
      correlationId: order.correlationId,
      failureReason,
    });

  async function advance(order: PurchaseOrder, status: Exclude<SagaStatus, 'STARTED' | 'FAILED'>): Promise<void> {
    if ((await sagas.advance(order.sagaId, status)) === 'FAILED') return;
    await publish(order, `TOKEN_PURCHASE_${status}`);
    metrics.sagas.inc({ status });
  }

  return namingOutages({
    /** Answers the row as it stands: the workflow must not go on when another execution owns it or it has ended. */
    async openSaga(order: PurchaseOrder, runId: string): Promise<SagaHead> {
      const head = await sagas.open(order, { workflowId: workflowId(), runId });
      if (head.runId === runId) {
        await publish(order, 'TOKEN_PURCHASE_STARTED');
        metrics.sagas.inc({ status: 'STARTED' });
      }
      return head;
    },

    async reservePayment(order: PurchaseOrder): Promise<PaymentOutcome> {
      const outcome = await whileHeartbeating((signal) => payments.reserve(paymentOf(order), signal));
      if (outcome.ok) await advance(order, 'PAYMENT_RESERVED');
      return outcome;
    },

    async allocateTokens(order: PurchaseOrder): Promise<AllocationOutcome> {
      const outcome = await ledger.allocate(order.sagaId, poolOf(order), order.tokens);
      if (outcome.ok) await advance(order, 'TOKENS_ALLOCATED');
      return outcome;
    },

    /** @param paymentId what the reservation answered */
    capturePayment(order: PurchaseOrder, paymentId?: string | null): Promise<PaymentOutcome> {
      return whileHeartbeating((signal) => payments.capture(paymentOf(order, paymentId), signal));
    },

    async completePurchase(order: PurchaseOrder): Promise<void> {
      await ledger.post(order.sagaId);
      await advance(order, 'COMPLETED');
    },

    async releasePayment(order: PurchaseOrder, paymentId?: string | null): Promise<string> {
      await publish(order, 'PAYMENT_RELEASE_REQUESTED');
      return whileHeartbeating((signal) => payments.undo(paymentOf(order, paymentId), signal));
    },

    voidTokens(order: PurchaseOrder): Promise<void> {
      return ledger.void(order.sagaId);
    },

    async failPurchase(order: PurchaseOrder, runId: string, reason: PurchaseFailure, detail: string): Promise<void> {
      await sagas.fail(order, { workflowId: workflowId(), runId }, reason, detail);
      await publish(order, 'TOKEN_PURCHASE_FAILED', reason);
      metrics.sagas.inc({ status: 'FAILED' });
    },

    /** @param parkedOn what is stuck; null when the purchase goes on */
    async reportParked(order: PurchaseOrder, parkedOn: string | null): Promise<void> {
      const facts = { sagaId: order.sagaId, workflowId: workflowId(), correlationId: order.correlationId, parkedOn };
      if (parkedOn) log.error(facts, 'purchase parked: a step keeps failing and waits for the retryNow signal');
      else log.info(facts, 'purchase resumed');
      await sagas.setParked(order.sagaId, parkedOn);
    },

    /** Succeeds when the stores that steps write to take writes again. The event has been published before: who consumes it counts it once. */
    async reachStores(order: PurchaseOrder): Promise<void> {
      await sagas.touch(order.sagaId);
      await publish(order, 'TOKEN_PURCHASE_STARTED');
    },
  });
}

/**
 * Lets the workflow tell an outage of our own stores, which ends by itself, from what needs an operator. A payment provider that is
 * away is none: what it refuses and what it cannot be asked look too much alike to try without end.
 */
function namingOutages<Activities extends object>(activities: Activities): Activities {
  const named = Object.entries(activities as Record<string, (...args: unknown[]) => Promise<unknown>>).map(([name, run]) => [
    name,
    (...args: unknown[]) =>
      run(...args).catch((error: unknown) => {
        if (error instanceof PaymentOutcomeUnknown || !isOutage(error)) throw error;
        const message = error instanceof Error ? error.message : String(error);
        throw ApplicationFailure.create({ message, type: STORE_AWAY, cause: error as Error });
      }),
  ]);
  return Object.fromEntries(named) as Activities;
}

const workflowId = () => Context.current().info.workflowExecution?.workflowId ?? '';

const paymentOf = (order: PurchaseOrder, paymentId?: string | null): Payment => ({
  key: order.sagaId,
  amountCents: order.amountCents,
  method: order.paymentMethod,
  description: `${order.tokens} ${order.provider} tokens`,
  paymentId: paymentId ?? null,
  unrecordedSince: order.revision === 3 ? null : new Date(order.createdAt),
});

/** Lets the server notice a dead worker within the heartbeat time-out, and a given-up step abort its call. */
async function whileHeartbeating<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await work(context.cancellationSignal);
  } finally {
    clearInterval(timer);
  }
}
