import type { ErrorCode } from '../contracts/errors.js';
import type { UsageEvent } from '../contracts/events.js';
import type { ProviderName } from '../contracts/providers.js';
import type { ProviderAnswer } from './ports.js';

/** What a consumption is, from the HTTP request to the row. Prompts stay in memory and in the row, never in a history. */
export interface ConsumptionRequest {
  id: string;
  userId: string;
  /** Whose share of shared places it takes; unset once another process has it from its row: the user's */
  caller?: string;
  orgId: string | null;
  provider: ProviderName;
  tokens: number;
  prompt: string | null;
  model: string | null;
  tag: string | null;
  /** SHA-256 of the meaningful members: tells another payload under the same Idempotency-Key */
  payloadHash: string;
  keyed: boolean;
  correlationId: string;
  bucket: BucketSnapshot;
}

/** The rate bucket's figures at the decision, in tokens. */
export interface BucketSnapshot {
  capacity: number;
  used: number;
  remaining: number;
}

export type HoldState = 'HELD' | 'SETTLED' | 'RELEASED' | 'REFUSED';

export interface ConsumptionRow extends ConsumptionRequest {
  workflowId: string | null;
  state: HoldState;
  charged: number;
  outcomeCode: ErrorCode | null;
  detail: string | null;
  attempts: number;
  answer: ProviderAnswer | null;
  createdAt: Date;
  decidedAt: Date | null;
}

/** How a hold ends: `code` null settles `charge` tokens, any other releases the hold in full. */
export interface Settlement {
  id: string;
  workflowId: string;
  charge: number;
  code: ErrorCode | null;
  detail: string | null;
  attempts: number;
  answer: ProviderAnswer | null;
  /** For the caller who waits; no row keeps it */
  retryAfterSeconds?: number;
}

export interface ReserveOutcome {
  id: string;
  /** FOREIGN: another workflow owns this id */
  state: HoldState | 'FOREIGN';
  /** Spendable tokens of the pool when it was refused */
  available: number;
}

export interface SettledRow {
  id: string;
  state: HoldState;
  charged: number;
  decidedAt: Date;
}

export interface ConsumptionLedger {
  /** Holds quota for each request or refuses it, each on its own. Repeating it finds the rows and changes nothing. */
  reserve(workflowId: string, requests: readonly ConsumptionRequest[]): Promise<ReserveOutcome[]>;
  /** Ends holds, each once. Returns the rows that this call ended; the others had ended before. */
  settle(settlements: readonly Settlement[]): Promise<SettledRow[]>;
  find(ids: readonly string[]): Promise<ConsumptionRow[]>;
  /** One usage event for each of the workflow's rows that has ended. */
  usageOf(workflowId: string, ids: readonly string[]): Promise<UsageEvent[]>;
  /** Rows of refusals that needed no workflow. */
  recordRefusals(rows: readonly ConsumptionRow[]): Promise<void>;
}

/** What a waiting HTTP response learns. */
export type ConsumptionOutcome =
  | { kind: 'settled'; answer: ProviderAnswer; decidedAt: Date }
  | { kind: 'ended'; code: ErrorCode; detail: string; available?: number; retryAfterSeconds?: number }
  /** Another process owns the id; its row will hold the outcome */
  | { kind: 'foreign' };

/** Where requests wait between their HTTP handler and the activities of the same process. */
export interface Intake {
  /**
   * The batch's requests that nobody has been answered for yet; null when this process never had the batch (another one
   * died) or has given it up. Repeatable until `finish`.
   */
  claim(batchId: string): ConsumptionRequest[] | null;
  /** Whether someone in this process waits for the outcome */
  isWaiting(id: string): boolean;
  answer(id: string, outcome: ConsumptionOutcome): void;
  /** The batch's workflow needs its requests no more. */
  finish(batchId: string): void;
  /** The same, and its usage is about to be stored, which may be tried many times */
  publish(batchId: string): void;
  published(batchId: string): void;
}
