import { CURRENCY, LARGEST_PURCHASE_TOKENS } from '../../domain/pricing.js';
import { TIERS } from '../../domain/tiers.js';
import { idempotencyKey, optional, providerName, text, timestamp, uuid, whole, wholeInQuery, z } from './common.js';

export const purchaseBody = z
  .object({
    userId: uuid.describe('Who buys: yourself, or anyone for an ADMIN'),
    orgId: optional(uuid).describe(
      'Fill the pool of this organisation, of which you are a member, instead of your own. Default for a bound key: its organisation',
    ),
    provider: providerName,
    tokens: whole(1, LARGEST_PURCHASE_TOKENS),
    paymentMethod: optional(text({ max: 100 })).describe(
      'A payment method id of the payment provider; with the simulator the behaviour to show, such as sim_approve',
    ),
  })
  .openapi('Purchase');

export const purchaseHeaders = z.object({
  'idempotency-key': idempotencyKey.describe('Same key and same body: the first purchase. Same key and another body: 409'),
});

export const sagaStatus = z.enum(['STARTED', 'PAYMENT_RESERVED', 'TOKENS_ALLOCATED', 'COMPLETED', 'FAILED']);

export const purchaseAccepted = z.object({ sagaId: uuid, status: sagaStatus, createdAt: timestamp }).openapi('PurchaseAccepted');

const amount = {
  amountCents: z.int().describe('Integer cents of `currency`'),
  currency: z.literal(CURRENCY),
  simulated: z.boolean().describe('The payment is simulated: nobody pays'),
};

export const purchaseStarted = purchaseAccepted.extend(amount).openapi('PurchaseStarted');

export const failureReason = z.enum([
  'PAYMENT_DECLINED',
  'CAPTURE_DECLINED',
  'POOL_CAP_EXCEEDED',
  'CANCELLED',
  'APPROVAL_MISSING',
  'LIMIT_REACHED',
  'STEP_FAILED',
]);

export const purchaseView = z
  .object({
    id: uuid,
    userId: uuid,
    orgId: uuid.nullable(),
    provider: providerName,
    tokens: z.int(),
    ...amount,
    idempotencyKey: z.string().nullable(),
    status: sagaStatus,
    failureReason: failureReason.optional(),
    failureDetail: z.string().optional(),
    parkedOn: z.string().optional().describe('What the purchase is stuck on, until an operator helps'),
    workflowId: z.string(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('PurchaseSaga');

export const purchaseParams = z.object({ sagaId: uuid });

export const purchasesQuery = z.object({
  userId: uuid.optional().describe('Default: yourself; with orgId: everybody'),
  orgId: uuid.optional().describe('Purchases for this organisation: all for its OWNER, and with your userId your own for a member'),
  limit: wholeInQuery(1, 100, 20),
  cursor: text({ max: 200 }).optional().describe('nextCursor of the page before'),
});

export const purchasePage = z.object({
  items: z.array(purchaseView),
  nextCursor: z.string().nullable().describe('null: there are no older ones'),
});

const priced = z.object({ tokens: z.int(), amountCents: z.int() });

export const priceList = z
  .object({
    currency: z.literal(CURRENCY),
    rounding: z.string(),
    paymentProvider: z.enum(['simulator', 'stripe']),
    simulated: z.boolean().describe('Payments are simulated: nobody pays'),
    minimumCents: z.int().describe('The smallest amount that the payment provider takes'),
    minTokens: z.int().describe('The smallest purchase of any provider'),
    maxTokens: z.int(),
    approvalAboveTokens: z.int().nullable().describe('Larger purchases wait for an approval; null: none does'),
    paymentMethods: z.array(z.object({ id: z.string(), label: z.string() })),
    items: z.array(
      z.object({
        provider: providerName,
        centsPerMillionTokens: z.int(),
        smallest: priced,
        largest: priced,
        packages: z.array(priced),
        tiersThatCannotBuy: z.array(z.enum(TIERS)).describe('Tiers whose pool may never hold the smallest purchase'),
      }),
    ),
  })
  .openapi('PriceList');
