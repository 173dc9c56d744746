import { createHash } from 'node:crypto';
import { v5, v7 } from 'uuid';
import type { z } from 'zod';
import type { purchaseBody, purchaseView } from '../../contracts/http/purchases.js';
import { workflowIds, type PurchaseMemo, type PurchaseOrder, type SagaStatus } from '../../contracts/temporal.js';
import { isSimulated } from '../../domain/payments.js';
import { CURRENCY, priceCents } from '../../domain/pricing.js';
import type { PurchaseRecord } from './purchase-ports.js';

/** Namespace of saga ids made from user + Idempotency-Key. Changing it would forget every key. */
const SAGA_NAMESPACE = '0f2f2f0e-7d55-4d0b-9b0f-6a3c8a0f9d51';

export interface OrderTerms {
  paymentMethod: string;
  idempotencyKey: string | null;
  correlationId: string;
  limitSeconds: number;
  approvalAboveTokens: number;
  now: Date;
}

type Bought = Omit<z.output<typeof purchaseBody>, 'orgId'> & { orgId?: string | null };

export function makeOrder({ userId, orgId = null, provider, tokens }: Bought, terms: OrderTerms): PurchaseOrder {
  const { paymentMethod, idempotencyKey, correlationId, limitSeconds, now } = terms;
  return {
    sagaId: idempotencyKey === null ? v7() : v5(`${userId}:${idempotencyKey}`, SAGA_NAMESPACE),
    userId,
    orgId,
    provider,
    tokens,
    amountCents: priceCents(provider, tokens),
    paymentMethod,
    idempotencyKey,
    payloadHash: createHash('sha256')
      .update(JSON.stringify([userId, orgId, provider, tokens, paymentMethod]))
      .digest('hex'),
    correlationId,
    limitSeconds,
    needsApproval: tokens > terms.approvalAboveTokens,
    createdAt: now.toISOString(),
    revision: 3,
  };
}

/** What a purchase costs, for its answers. */
export const amountOf = ({ amountCents, paymentMethod }: Pick<PurchaseOrder, 'amountCents' | 'paymentMethod'>) => ({
  amountCents,
  currency: CURRENCY,
  simulated: isSimulated(paymentMethod),
});

export const viewOfRecord = (record: PurchaseRecord): z.input<typeof purchaseView> => ({
  id: record.id,
  userId: record.userId,
  orgId: record.orgId,
  provider: record.provider,
  tokens: record.tokens,
  ...amountOf(record),
  idempotencyKey: record.idempotencyKey,
  status: record.status,
  ...(record.failureReason !== null && { failureReason: record.failureReason }),
  ...(record.failureDetail !== null && { failureDetail: record.failureDetail }),
  ...(record.parkedOn !== null && { parkedOn: record.parkedOn }),
  workflowId: record.workflowId,
  createdAt: record.createdAt.toISOString(),
  updatedAt: record.updatedAt.toISOString(),
});

/** For a purchase whose first step has not run yet: the workflow knows what was asked for. */
export const viewOfMemo = (sagaId: string, status: SagaStatus, memo: PurchaseMemo): z.input<typeof purchaseView> => ({
  id: sagaId,
  userId: memo.userId,
  orgId: memo.orgId,
  provider: memo.provider,
  tokens: memo.tokens,
  ...amountOf({ amountCents: memo.amountCents ?? priceCents(memo.provider, memo.tokens), paymentMethod: memo.paymentMethod ?? '' }),
  idempotencyKey: memo.idempotencyKey,
  status,
  workflowId: workflowIds.purchase(sagaId),
  createdAt: memo.createdAt,
  updatedAt: memo.createdAt,
});
