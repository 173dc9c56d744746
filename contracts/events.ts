import type { ProviderName } from './providers.js';

/**
 * One for each consumption attempt, refusals included. `id` is the consumption id: consumers are exact by it.
 * Delivered at least once.
 */
export interface UsageEvent {
  id: string;
  /** ISO-8601 UTC: when the outcome was decided */
  timestamp: string;
  provider: ProviderName;
  userId: string;
  orgId: string | null;
  /** Charged tokens when allowed, asked-for tokens when not */
  tokens: number;
  allowed: boolean;
  /** Error code of contracts/errors.ts when not allowed */
  reason: string | null;
  /** Correlation id of the request */
  requestId: string;
  tag: string | null;
}

export type PurchaseEventType =
  | 'TOKEN_PURCHASE_STARTED'
  | 'TOKEN_PURCHASE_PAYMENT_RESERVED'
  | 'TOKEN_PURCHASE_TOKENS_ALLOCATED'
  | 'TOKEN_PURCHASE_COMPLETED'
  | 'TOKEN_PURCHASE_FAILED'
  | 'PAYMENT_RELEASE_REQUESTED';

/** `id` is `{sagaId}:{type}`: each type happens once in a saga. */
export interface PurchaseEvent {
  id: string;
  type: PurchaseEventType;
  timestamp: string;
  sagaId: string;
  userId: string;
  orgId: string | null;
  provider: ProviderName;
  tokens: number;
  correlationId: string;
  failureReason: string | null;
}
