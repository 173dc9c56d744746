import { LRUCache } from 'lru-cache';
import type { Config } from '../../config.js';
import { GroupCommit } from '../../domain/group-commit.js';
import type { BucketRule } from '../../domain/leaky-bucket.js';
import { higherTier, isTier, termsOf } from '../../domain/tiers.js';
import type { Caller } from '../http/caller.js';
import type { QuotaPolicyView, QuotaStore } from './ports.js';

const FIXED_WINDOW_MS = 60_000;
/** A tier that an ADMIN changes takes effect on the bucket within this time. */
const POLICY_TTL_MS = 5_000;
const MAX_POLICIES = 100_000;
const MAX_LOOKUPS = 500;

/**
 * The bucket rule that applies to a caller: the defaults, scaled by the higher of the user's tier and the API key's. Users who were
 * not seen for a while are looked up together: with very many of them nearly every request would be a statement.
 */
export function createBucketRules(quota: Pick<QuotaStore, 'policiesOf'>, defaults: Config['bucket']) {
  const lookups = new GroupCommit<string, QuotaPolicyView>({
    lanes: 1,
    maxItems: MAX_LOOKUPS,
    write: (userIds) => quota.policiesOf('user', userIds),
  });
  const policies = new LRUCache<string, QuotaPolicyView>({
    max: MAX_POLICIES,
    ttl: POLICY_TTL_MS,
    ttlResolution: 100,
    fetchMethod: (userId) => lookups.submit(userId),
  });
  return async (caller: Pick<Caller, 'keyTier'>, userId: string): Promise<BucketRule> => {
    const policy = await policies.forceFetch(userId);
    const keyTier = caller.keyTier !== null && isTier(caller.keyTier) ? caller.keyTier : null;
    const terms = termsOf(higherTier(policy.tier, keyTier), policy.custom);
    return {
      strategy: defaults.strategy,
      capacity: Math.max(1, Math.floor(defaults.capacity * terms.capacityMultiplier)),
      leakPerSecond: defaults.leakPerSecond * terms.leakMultiplier,
      windowMs: FIXED_WINDOW_MS,
    };
  };
}
