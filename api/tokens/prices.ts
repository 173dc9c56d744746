import type { RequestHandler } from 'express';
import type { z } from 'zod';
import type { PaymentMethods } from '../../activities/purchase-ports.js';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { priceList } from '../../contracts/http/purchases.js';
import { PROVIDERS } from '../../contracts/providers.js';
import type { PurchaseOrder } from '../../contracts/temporal.js';
import { CURRENCY, LARGEST_PURCHASE_TOKENS, ROUNDING, priceLine, smallestPurchase } from '../../domain/pricing.js';
import type { Operation } from '../http/openapi.js';

export const pricesOperation: Operation = {
  method: 'get',
  path: '/api/v1/tokens/prices',
  summary: 'What tokens cost, the smallest and the largest purchase, and how to pay',
  tag: 'purchases',
  public: true,
  responses: { 200: { description: 'The price list', schema: priceList } },
};

export type PaymentTerms = Pick<PaymentMethods, 'provider' | 'simulated' | 'minimumCents' | 'choices'>;

/** The price list as it is from this process's start on. */
export function prices(config: Pick<Config, 'purchase'>, terms: PaymentTerms): RequestHandler {
  const items = PROVIDERS.map((provider) => priceLine(provider, terms.minimumCents));
  const { approvalAboveTokens } = config.purchase;
  const answer: z.input<typeof priceList> = {
    currency: CURRENCY,
    rounding: ROUNDING,
    paymentProvider: terms.provider,
    simulated: terms.simulated,
    minimumCents: terms.minimumCents,
    minTokens: Math.min(...items.map(({ smallest }) => smallest.tokens)),
    maxTokens: LARGEST_PURCHASE_TOKENS,
    approvalAboveTokens: approvalAboveTokens < LARGEST_PURCHASE_TOKENS ? approvalAboveTokens : null,
    paymentMethods: [...terms.choices],
    items,
  };
  return (_req, res) => void res.json(answer);
}

/** @throws Problem PURCHASE_TOO_SMALL: the payment provider would refuse the amount, so nothing is begun */
export function requireSmallest({ provider, tokens, amountCents }: PurchaseOrder, { minimumCents }: PaymentTerms): void {
  const smallest = smallestPurchase(provider, minimumCents);
  if (tokens >= smallest) return;
  const detail = `${tokens} ${provider} tokens cost ${amountCents} US cents; the smallest purchase is ${smallest} tokens (${minimumCents} US cents)`;
  throw new Problem('PURCHASE_TOO_SMALL', `${detail}. Nothing was charged`, {
    policy: 'smallest-purchase',
    limit: smallest,
    used: tokens,
    minimum: { tokens: smallest, amountCents: minimumCents },
    amountCents,
  });
}

/** What to add where a cap leaves no room for any purchase; empty where it does not. */
export function cannotBuyAtAll({ provider }: PurchaseOrder, cap: number, { minimumCents }: PaymentTerms): string {
  const smallest = smallestPurchase(provider, minimumCents);
  return cap < smallest ? ` The smallest purchase, ${smallest} tokens, exceeds the cap of this tier, which therefore cannot buy.` : '';
}
