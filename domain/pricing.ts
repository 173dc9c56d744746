import { TIERS, termsOf, type Tier } from './tiers.js';

/**
 * What tokens cost: integer US cents for a million tokens, one price for each provider.
 * A closed record: a provider without a price does not compile.
 */
export const CENTS_PER_MILLION_TOKENS = { openai: 500, gemini: 300, qwen: 200 } as const;

/** ISO 4217. All amounts are integer cents of it. */
export const CURRENCY = 'USD' as const;
export const ROUNDING = 'up to the next whole cent';
export const LARGEST_PURCHASE_TOKENS = 1_000_000;
/** What the price list suggests; callers may buy any amount in between. */
const PACKAGES = [1_000, 10_000, 100_000, 250_000, 500_000, LARGEST_PURCHASE_TOKENS];

export type PricedProvider = keyof typeof CENTS_PER_MILLION_TOKENS;

/**
 * Price of a purchase in integer cents, rounded up to the next cent, so never 0 and never less than the list price.
 * Exact for every purchase the contract allows: 1,000,000 tokens × 500 cents is far below 2^53.
 * @param tokens positive integer
 */
export function priceCents(provider: PricedProvider, tokens: number): number {
  if (!Number.isSafeInteger(tokens) || tokens < 1) throw new RangeError(`tokens must be a positive integer, not ${tokens}`);
  return Math.ceil((tokens * CENTS_PER_MILLION_TOKENS[provider]) / 1_000_000);
}

/**
 * The fewest tokens whose price the payment provider takes.
 * @param minimumCents the smallest charge of the payment provider, at least 1
 */
export const smallestPurchase = (provider: PricedProvider, minimumCents: number): number =>
  Math.floor(((minimumCents - 1) * 1_000_000) / CENTS_PER_MILLION_TOKENS[provider]) + 1;

/** Tiers whose pools may never hold as much as the smallest purchase brings. ENTERPRISE has terms of its own. */
export const tiersThatCannotBuy = (provider: PricedProvider, minimumCents: number): Tier[] =>
  TIERS.filter((tier) => tier !== 'ENTERPRISE' && (termsOf(tier).cap ?? Infinity) < smallestPurchase(provider, minimumCents));

export interface PriceLine {
  provider: PricedProvider;
  centsPerMillionTokens: number;
  smallest: { tokens: number; amountCents: number };
  largest: { tokens: number; amountCents: number };
  packages: { tokens: number; amountCents: number }[];
  tiersThatCannotBuy: Tier[];
}

/** The line of the price list: the same rules that a purchase is checked against. */
export function priceLine(provider: PricedProvider, minimumCents: number): PriceLine {
  const priced = (tokens: number) => ({ tokens, amountCents: priceCents(provider, tokens) });
  const smallest = smallestPurchase(provider, minimumCents);
  return {
    provider,
    centsPerMillionTokens: CENTS_PER_MILLION_TOKENS[provider],
    smallest: priced(smallest),
    largest: priced(LARGEST_PURCHASE_TOKENS),
    packages: PACKAGES.filter((tokens) => tokens >= smallest).map(priced),
    tiersThatCannotBuy: tiersThatCannotBuy(provider, minimumCents),
  };
}
