import type { UsageEvent, PurchaseEvent } from '../contracts/events.js';
import type { ProviderName } from '../contracts/providers.js';
import type { ErrorCode } from '../contracts/errors.js';
import type { PoolKey } from '../contracts/temporal.js';

/** What the activities need from outside. Adapters implement these; composition roots choose the adapter. */

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface ProviderRequest {
  consumptionId: string;
  /** Whose share of the provider's places it takes, and whom its failures are held against */
  caller: string;
  provider: ProviderName;
  /** Unset: the provider's configured default */
  model?: string;
  messages: ChatMessage[];
  maxTokens: number;
}

export interface ProviderAnswer {
  id: string;
  provider: ProviderName;
  model: string;
  message: string;
  /** As the provider reported it; null when it reported none */
  usage: { promptTokens: number; completionTokens: number; totalTokens: number } | null;
}

/** PROVIDER_UNAVAILABLE: not called. The first two are the provider's fault; of the others another call would bring the same. */
export type ProviderFailureCode = Extract<
  ErrorCode,
  | 'PROVIDER_FAILED'
  | 'PROVIDER_TIMEOUT'
  | 'PROVIDER_UNAVAILABLE'
  | 'PROVIDER_RATE_LIMITED'
  | 'PROVIDER_QUOTA_EXHAUSTED'
  | 'PROVIDER_REJECTED'
  | 'CONTEXT_TOO_LONG'
  | 'UNKNOWN_MODEL'
  | 'CONTENT_FILTERED'
  | 'NO_TEXT_ANSWER'
  | 'ANSWER_TOO_LARGE'
>;

/** Expected ends of a provider call are values. `attempts` counts the HTTP calls that were sent. */
export type ProviderOutcome =
  | { ok: true; answer: ProviderAnswer; attempts: number }
  | {
      ok: false;
      code: ProviderFailureCode;
      /** For the operator and the row; the public text comes from the code */
      detail: string;
      attempts: number;
      /** When the provider, or its guard, wants to be asked again */
      retryAfterSeconds?: number;
    };

export interface Providers {
  /**
   * Calls the provider with its time limit, retries, breaker and bulkhead. Never throws for a provider's fault.
   * `onDelta` receives text as it is produced when the wire format streams.
   */
  complete(request: ProviderRequest, options?: { signal?: AbortSignal; onDelta?: (text: string) => void }): Promise<ProviderOutcome>;
  /** Why a call of this caller would not be sent now (breaker open, places taken) and when to try again; null when it would. */
  refusalFor(provider: ProviderName, caller: string): { retryAfterSeconds: number; detail: string } | null;
  /** Calls that have begun and not ended, of all providers */
  readonly inProgress: number;
  inProgressOf(caller: string): number;
}

/**
 * What a store throws for an event that it can never keep, however often it is tried: a value its columns refuse. All other
 * rejections mean that the store is away.
 */
export class UnstorableEvent extends Error {
  override readonly name = 'UnstorableEvent';
}

/**
 * Where usage events go. Idempotent on the event id: an event may be published any number of times, but never with another content.
 * Stores reject with UnstorableEvent when one of the events is to blame.
 */
export interface UsageSink {
  publish(events: readonly UsageEvent[]): Promise<void>;
}

/** Where purchase events go. Idempotent on the event id. Stores reject with UnstorableEvent when the event is to blame. */
export interface PurchaseEventSink {
  publish(event: PurchaseEvent): Promise<void>;
}

/**
 * Purchased tokens in the ledger, in two phases: pending (not spendable) until the payment is captured, then posted or
 * voided, once. Every call is idempotent on the saga id, and a late `allocate` after `void` is refused.
 */
export interface PurchaseLedger {
  allocate(sagaId: string, pool: PoolKey, tokens: number): Promise<AllocationOutcome>;
  post(sagaId: string): Promise<void>;
  void(sagaId: string): Promise<void>;
  /** The cap of the pool's tier and how much of it bought tokens take, paid or not; null when it has none. `used` may exceed the cap. */
  room(pool: PoolKey): Promise<{ cap: number; used: number } | null>;
}

export type AllocationOutcome = { ok: true } | { ok: false; reason: 'OVER_CAP' | 'VOIDED' };

export interface Progress {
  /** What was taken: stored batches or roll-ups made, events or consumptions deleted */
  count: number;
  /** Nothing was left to do when it stopped */
  done: boolean;
}

/** Keeps the usage store small and its reports fast. Readers are exact at any time, whether or not this runs. */
export interface UsageMaintenance {
  /** Rolls up a part of what was stored since the last time; `limit` bounds the rows that it takes at once. */
  fold(limit: number): Promise<Progress>;
  /**
   * Deletes the oldest whole hour of events with its roll-ups, if it ended at or before `before`; answers its events. Null when there
   * is none, or when the store lets them expire by itself.
   */
  purgeOldest(before: Date): Promise<number | null>;
}

/** What the anomaly scan reads. */
export interface UsageHistory {
  /** Charged tokens of all users, one answer for each half-open window */
  totals(provider: ProviderName, visibility: 'all', windows: readonly { from: Date; to: Date }[]): Promise<{ tokens: number }[]>;
}

/** Deletes ended consumptions that began before a time; holds in progress stay. Answers how many it deleted, at most `limit`. */
export interface ConsumptionRetention {
  purgeConsumptions(before: Date, limit: number): Promise<number>;
}
