/**
 * What a tier is worth. Multipliers scale the rate bucket's capacity and leak; `allowance` is granted each quota window;
 * `cap` bounds what a pool may hold (null: no bound). Tokens are integers.
 */
export interface TierTerms {
  capacityMultiplier: number;
  leakMultiplier: number;
  allowance: number;
  cap: number | null;
}

/** Ascending priority: where a user and an API key both have a tier, the later one here wins. ENTERPRISE brings its own terms. */
export const TIERS = ['STANDARD', 'FREE', 'BRONZE', 'SILVER', 'GOLD', 'ENTERPRISE'] as const;
export type Tier = (typeof TIERS)[number];

const TERMS: Record<Exclude<Tier, 'ENTERPRISE'>, TierTerms> = {
  STANDARD: { capacityMultiplier: 1, leakMultiplier: 1, allowance: 0, cap: null },
  FREE: { capacityMultiplier: 0.5, leakMultiplier: 0.5, allowance: 100, cap: 100 },
  BRONZE: { capacityMultiplier: 1, leakMultiplier: 1, allowance: 1_000, cap: 1_000 },
  SILVER: { capacityMultiplier: 2, leakMultiplier: 2, allowance: 10_000, cap: 10_000 },
  GOLD: { capacityMultiplier: 5, leakMultiplier: 5, allowance: 100_000, cap: 100_000 },
};

export const isTier = (name: string): name is Tier => (TIERS as readonly string[]).includes(name);

/** @param custom the agreed terms of an ENTERPRISE owner; without them ENTERPRISE counts as GOLD */
export function termsOf(tier: Tier, custom: TierTerms | null = null): TierTerms {
  if (tier !== 'ENTERPRISE') return TERMS[tier];
  return custom ?? TERMS.GOLD;
}

/** The higher of two tiers; null means "none given". */
export function higherTier(a: Tier, b: Tier | null): Tier {
  return b !== null && TIERS.indexOf(b) > TIERS.indexOf(a) ? b : a;
}
