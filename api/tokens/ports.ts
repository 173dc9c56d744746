import type { PoolKey } from '../../contracts/temporal.js';
import type { Actor } from '../../domain/accounts/actor.js';
import type { BucketDecision, BucketRule } from '../../domain/leaky-bucket.js';
import type { PoolView } from '../../domain/pool.js';
import type { Tier, TierTerms } from '../../domain/tiers.js';

/**
 * Rate buckets by key `bucket:{<userId>}:<provider>`: in a Redis Cluster the braces keep the buckets of one user on one node.
 * Both operations are atomic per key.
 */
export interface BucketStore {
  /** @throws Problem LIMITS_UNAVAILABLE when it cannot decide and is configured to refuse then */
  pour(key: string, rule: BucketRule, amount: number): Promise<BucketDecision>;
  /** Takes back what was poured for work that was refused afterwards. */
  unpour(key: string, rule: BucketRule, amount: number): Promise<void>;
}

export interface PoolSnapshot extends PoolView {
  resetAt: Date;
  updatedAt: Date;
}

export interface QuotaPolicyView {
  tier: Tier;
  zone: string;
  custom: TierTerms | null;
}

/** IN_USE: more than the remaining tokens would have to be taken back. TOO_MUCH: the pool was given all that can be counted exactly. */
export type TotalSet = { ok: true; created: boolean; snapshot: PoolSnapshot } | { ok: false; reason: 'IN_USE' | 'TOO_MUCH' };

/** Balances and the terms behind them. */
export interface QuotaStore {
  /** Whether there is such a user or organisation: an ADMIN may name any */
  ownerExists(ownerKind: PoolKey['ownerKind'], ownerId: string): Promise<boolean>;
  /** null when there is no such pool */
  read(pool: PoolKey): Promise<PoolSnapshot | null>;
  policyOf(ownerKind: PoolKey['ownerKind'], ownerId: string): Promise<QuotaPolicyView>;
  /** One for each owner, in their order */
  policiesOf(ownerKind: PoolKey['ownerKind'], ownerIds: readonly string[]): Promise<QuotaPolicyView[]>;
  /**
   * Sets the owner's tier and applies it to its pools, by the rules of docs/quota.md. Opens a pool per provider when the tier has an
   * allowance.
   */
  setPolicy(ownerKind: PoolKey['ownerKind'], ownerId: string, policy: QuotaPolicyView, by?: Actor): Promise<void>;
  /** Grants or takes back tokens until the pool's total is `totalTokens`; changes nothing when it refuses. */
  setTotal(pool: PoolKey, totalTokens: number, by?: Actor): Promise<TotalSet>;
}
