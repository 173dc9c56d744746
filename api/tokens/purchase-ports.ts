import type { ProviderName } from '../../contracts/providers.js';
import type { PurchaseFailure, PurchaseMemo, PurchaseOrder, SagaStatus } from '../../contracts/temporal.js';

/** The durable record of a purchase, as written by its workflow. */
export interface PurchaseRecord {
  id: string;
  userId: string;
  orgId: string | null;
  provider: ProviderName;
  tokens: number;
  amountCents: number;
  paymentMethod: string;
  idempotencyKey: string | null;
  payloadHash: string;
  status: SagaStatus;
  failureReason: PurchaseFailure | null;
  failureDetail: string | null;
  /** What the purchase is stuck on; null when it is not parked */
  parkedOn: string | null;
  correlationId: string;
  workflowId: string;
  createdAt: Date;
  updatedAt: Date;
}

export interface PurchaseReader {
  find(sagaId: string): Promise<PurchaseRecord | null>;
  /**
   * Newest first; `before` is the last purchase of the page before.
   * @param of a user, for whomever it bought, or an organisation, whoever bought, or both
   */
  newest(
    of: { userId: string | null; orgId: string | null },
    limit: number,
    before: { createdAt: string; id: string } | null,
  ): Promise<PurchaseRecord[]>;
}

/** The share of open purchases that each caller has, in all processes together. */
export interface PurchasePlaces {
  perCaller: number;
  /** A place for this purchase, until it has ended or is parked; `used`: how many others the caller has open. Repeatable */
  take(sagaId: string, caller: string): Promise<{ taken: boolean; used: number }>;
}

/** The workflow engine did not answer in time or refused the work. What was asked may still happen; asking again is safe. */
export class EngineUnreachable extends Error {
  override readonly name = 'EngineUnreachable';
}

/** Purchases as workflows. Every call answers or throws EngineUnreachable within a bounded time. */
export interface PurchaseEngine {
  /** EXISTS: a purchase of this saga id is or was there; nothing was started. */
  start(order: PurchaseOrder): Promise<'STARTED' | 'EXISTS'>;
  find(sagaId: string): Promise<{ status: SagaStatus; memo: PurchaseMemo } | null>;
  /** GONE: no running workflow has this saga id. */
  cancel(sagaId: string): Promise<{ result: 'CANCELLING' | 'GONE' } | { result: 'REFUSED'; detail: string }>;
  /** False: no running workflow has this saga id. */
  signal(sagaId: string, name: 'approve' | 'retryNow'): Promise<boolean>;
}
