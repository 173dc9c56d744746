/**
 * What tokens cost: integer US cents for a million tokens, one price for each provider.
 * A closed record: a provider without a price does not compile.
 */
const CENTS_PER_MILLION_TOKENS = { openai: 500, gemini: 300, qwen: 200 } as const;

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
