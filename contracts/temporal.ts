/**
 * Names that the services, workers, workflows and operators share. They are part of running histories and of runbooks:
 * changing one is a migration. Imported by workflow code, so nothing here may depend on Node or on zod.
 */
import type { ProviderName } from './providers.js';

export const TASK_QUEUES = {
  consumption: 'token-consumption',
  purchase: 'quota-purchase',
  maintenance: 'maintenance',
} as const;

export const WORKFLOWS = {
  consumeTokens: 'consumeTokens',
  purchaseQuota: 'purchaseQuota',
  rollUpUsage: 'rollUpUsage',
  reconcileLedger: 'reconcileLedger',
  auditLedger: 'auditLedger',
  enforceRetention: 'enforceRetention',
  scanAnomalies: 'scanAnomalies',
} as const;

export const workflowIds = {
  consumption: (batchId: string) => `consume-${batchId}`,
  purchase: (sagaId: string) => `purchase-${sagaId}`,
};

export const SCHEDULES = {
  rollUpUsage: 'usage-roll-up',
  reconcileLedger: 'ledger-reconciliation',
  auditLedger: 'ledger-audit',
  enforceRetention: 'retention',
  scanAnomalies: 'usage-anomaly-scan',
} as const;

/** Names of the custom search attributes; temporal-config/ registers them with these types. */
export const SEARCH_ATTRIBUTES = {
  LeakySagaStatus: 'Keyword',
  LeakySagaParked: 'Bool',
  LeakyUserId: 'Keyword',
  LeakyProvider: 'Keyword',
  LeakyCorrelationId: 'Keyword',
} as const;

/** Type of the failure that refuses a cancellation because there was one before. */
export const CANCELLED_ALREADY = 'CANCELLED_ALREADY';

export const PURCHASE_MESSAGES = {
  status: 'status',
  approve: 'approve',
  retryNow: 'retryNow',
  cancel: 'cancel',
} as const;

/** Type of the failure of a step that one of our own stores did not answer. */
export const STORE_AWAY = 'STORE_AWAY';

/** Header of a workflow and of its steps: the W3C traceparent of what they are part of. */
export const TRACE_HEADER = 'traceparent';

/** What a workflow that was started with that header tells at its end. Times in epoch milliseconds. */
export interface WorkflowSpan {
  parent: string;
  spanId: string;
  startedAt: number;
  endedAt: number;
  failed: boolean;
}

export type OwnerKind = 'user' | 'org';

/** Whose balance is meant: one pool per owner and provider. */
export interface PoolKey {
  ownerKind: OwnerKind;
  ownerId: string;
  provider: ProviderName;
}

// --- consumption ---------------------------------------------------------------------------------------------------

/** Argument of `consumeTokens`: ids only. Requests and prompts live in the rows and never enter a history. */
export interface ConsumptionBatch {
  batchId: string;
  consumptionIds: string[];
}

export interface ConsumptionBatchResult {
  held: number;
  refused: number;
  settled: number;
  released: number;
  abandoned: number;
}

// --- purchase ------------------------------------------------------------------------------------------------------

export type SagaStatus = 'STARTED' | 'PAYMENT_RESERVED' | 'TOKENS_ALLOCATED' | 'COMPLETED' | 'FAILED';

/** Argument of `purchaseQuota`. Amounts are integer cents (US), tokens integers. */
export interface PurchaseOrder {
  sagaId: string;
  userId: string;
  orgId: string | null;
  provider: ProviderName;
  tokens: number;
  amountCents: number;
  /** Which behaviour the payment simulator shows, or the payment method id of a real payment provider. */
  paymentMethod: string;
  idempotencyKey: string | null;
  payloadHash: string;
  correlationId: string;
  limitSeconds: number;
  needsApproval: boolean;
  /** ISO-8601 UTC: when the API accepted the order */
  createdAt: string;
  /**
   * Of the workflow code, for what an open purchase must not change in mid-way; absent in orders from before there were any. A patch
   * marker would cost the event and the search attribute that revision 2 saves.
   *
   *   2: the search attribute LeakySagaStatus tells how a purchase ended, no longer each of its steps
   *   3: the payment's own id is kept before money is held; a step that a store's outage stopped goes on when the store is back
   */
  revision?: 2 | 3;
}

/** Why a purchase ended as FAILED. */
export type PurchaseFailure =
  'PAYMENT_DECLINED' | 'CAPTURE_DECLINED' | 'POOL_CAP_EXCEEDED' | 'CANCELLED' | 'APPROVAL_MISSING' | 'LIMIT_REACHED' | 'STEP_FAILED';

/** What a purchase's workflow remembers beside its argument: enough to answer a caller while the row is not written yet. */
export interface PurchaseMemo {
  payloadHash: string;
  userId: string;
  orgId: string | null;
  provider: ProviderName;
  tokens: number;
  idempotencyKey: string | null;
  createdAt: string;
  /** Absent in purchases of before they were kept here */
  amountCents?: number;
  paymentMethod?: string;
}

/** Answer of the `status` query and result of the workflow. */
export interface PurchaseState {
  status: SagaStatus;
  /** What the workflow is doing now, in words for an operator. */
  step: string;
  failureReason: PurchaseFailure | null;
  failureDetail: string | null;
  cancellable: boolean;
  parked: boolean;
  /** Compensations registered and not yet done, newest last. */
  pendingCompensations: string[];
}

/** The pool a purchase fills: the organisation's when it names one, else the user's. */
export const poolOf = (order: { userId: string; orgId: string | null; provider: ProviderName }): PoolKey => ({
  ownerKind: order.orgId === null ? 'user' : 'org',
  ownerId: order.orgId ?? order.userId,
  provider: order.provider,
});
