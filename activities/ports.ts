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

/** Expected ends of a provider call are values. `attempts` counts the HTTP calls that were sent. */
export type ProviderOutcome =
  | { ok: true; answer: ProviderAnswer; attempts: number }
  | {
      ok: false;
      code: Extract<ErrorCode, 'PROVIDER_FAILED' | 'PROVIDER_TIMEOUT' | 'PROVIDER_UNAVAILABLE'>;
      /** For the operator and the row; the public text comes from the code */
      detail: string;
      attempts: number;
      retryAfterSeconds?: number;
    };

export interface Providers {
  /**
   * Calls the provider with its time limit, retries, breaker and bulkhead. Never throws for a provider's fault.
   * `onDelta` receives text as it is produced when the wire format streams.
   */
  complete(request: ProviderRequest, options?: { signal?: AbortSignal; onDelta?: (text: string) => void }): Promise<ProviderOutcome>;
  /** Seconds until a call may be tried again when the breaker is open or the bulkhead is full; null when calls are taken. */
  refusalFor(provider: ProviderName): { retryAfterSeconds: number; detail: string } | null;
}

/** Where usage events go. Idempotent on the event id. */
export interface UsageSink {
  publish(events: readonly UsageEvent[]): Promise<void>;
}

/** Where purchase events go. Idempotent on the event id. */
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
  /** Tokens the pool may still take under its tier's cap; null when it has no cap. A pool that does not exist yet counts as empty. */
  headroom(pool: PoolKey): Promise<number | null>;
}

export type AllocationOutcome = { ok: true } | { ok: false; reason: 'OVER_CAP' | 'VOIDED' };
