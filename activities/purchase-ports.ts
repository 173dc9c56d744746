import type { PaymentProvider } from '../domain/payments.js';
import type { PurchaseFailure, PurchaseOrder, SagaStatus } from '../contracts/temporal.js';

/** One payment of one purchase. `key` is its idempotency key at the payment provider: the saga id. */
export interface Payment {
  key: string;
  /** Integer US cents */
  amountCents: number;
  method: string;
  description: string;
  /** The provider's own id, as far as the purchase knows it. It is known from a reservation on. */
  paymentId: string | null;
  /** Set for purchases of before ids were kept: since then the payment may exist without a record of it */
  unrecordedSince: Date | null;
}

/** `paymentId`: the provider's own id, where it has one */
export type PaymentOutcome = { ok: true; paymentId?: string } | { ok: false; detail: string };

/** What `undo` found and did: nothing was held, the hold was released, or captured money was given back. */
export type UndoOutcome = 'NOTHING' | 'RELEASED' | 'REFUNDED';

/**
 * A payment is AUTHORIZED → CAPTURED | RELEASED, CAPTURED → REFUNDED, each once; DECLINED is final for its key. Every call may be
 * repeated with the same payment and then answers what the first one did. After `undo` a late `reserve` or `capture` of
 * the same key is declined and moves no money, so an attempt that was given up on cannot surprise anyone.
 * A call whose outcome is not known (time-out, 5xx) throws PaymentOutcomeUnknown: repeat it.
 */
export interface Payments {
  reserve(payment: Payment, signal?: AbortSignal): Promise<PaymentOutcome>;
  capture(payment: Payment, signal?: AbortSignal): Promise<PaymentOutcome>;
  /** Releases or refunds, whatever state the payment is in. */
  undo(payment: Payment, signal?: AbortSignal): Promise<UndoOutcome>;
}

/** What is kept of a payment whose provider gives it an id of its own. */
export interface PaymentRecord {
  /** null: not learnt, which says nothing about whether the payment exists */
  paymentId: string | null;
  askedAt: Date;
  /** Since then, by the store's clock */
  ageMs: number;
  /** How often its creation was asked for; 0: never, by anyone who keeps records */
  creations: number;
  /** Nothing may be held or taken any more */
  closed: boolean;
}

/** Each write is committed before the step that depends on it. `askedSince`: see `unrecordedSince` of the payment. */
export interface PaymentRecords {
  find(sagaId: string): Promise<PaymentRecord | null>;
  /** Before each creation */
  ask(sagaId: string, askedSince: Date | null): Promise<PaymentRecord>;
  /** After it, before anything else; the first id stays. */
  learn(sagaId: string, paymentId: string): Promise<PaymentRecord>;
  /** Before a payment is ended, so that a late creation ends what it made. */
  close(sagaId: string, askedSince: Date | null): Promise<PaymentRecord>;
}

/** The payment provider gave no answer: the money may or may not have moved. Retryable. */
export class PaymentOutcomeUnknown extends Error {
  override readonly name = 'PaymentOutcomeUnknown';
}

/** On what terms payments are taken: by whom, from which amount on, and which payment methods callers may name. */
export interface PaymentMethods {
  provider: PaymentProvider;
  /** Nobody pays */
  simulated: boolean;
  /** The smallest amount that the provider takes, in cents */
  minimumCents: number;
  choices: readonly { id: string; label: string }[];
  /** Used when a purchase names none */
  fallback: string;
  /** Why a method is not accepted; null when it is */
  fault(method: string): string | null;
}

export interface SagaOwner {
  workflowId: string;
  /** First execution of the workflow: the same after a reset, another one when the purchase was started anew */
  runId: string;
}

export interface SagaHead {
  status: SagaStatus;
  runId: string;
  failureReason: PurchaseFailure | null;
  failureDetail: string | null;
}

/** The durable record of a purchase. Its status only moves forward, and never out of COMPLETED or FAILED. */
export interface SagaStore {
  /** Writes the row as STARTED unless there is one; answers the row as it stands. */
  open(order: PurchaseOrder, owner: SagaOwner): Promise<SagaHead>;
  /** Moves the row forward to `status` unless it is there or further already; answers the status it has then. */
  advance(sagaId: string, status: Exclude<SagaStatus, 'STARTED' | 'FAILED'>): Promise<SagaStatus>;
  /** Ends the row as FAILED, writing it when the purchase failed before its first step. */
  fail(order: PurchaseOrder, owner: SagaOwner, reason: PurchaseFailure, detail: string): Promise<void>;
  /** Writes to the row and changes nothing that means something: succeeds when the store takes writes again. */
  touch(sagaId: string): Promise<void>;
  /** Notes what a purchase is stuck on, or that it is not any more; answers how many purchases are parked now. */
  setParked(sagaId: string, parkedOn: string | null): Promise<number>;
}
