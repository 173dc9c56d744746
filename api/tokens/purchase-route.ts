import type { RequestHandler, Response } from 'express';
import type { z } from 'zod';
import { Problem } from '../../contracts/errors.js';
import { purchaseBody, purchaseHeaders, purchaseStarted } from '../../contracts/http/purchases.js';
import { poolOf, type PurchaseOrder } from '../../contracts/temporal.js';
import { callerOf, isAdmin, shareKeyOf } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { spendingOwner, type Ownership } from '../identity/authority.js';
import { requireOwner } from './owners.js';
import { askEngine, findSaga, type PurchaseDeps, type SagaView } from './purchase-deps.js';
import { cannotBuyAtAll, requireSmallest } from './prices.js';
import { makeOrder, amountOf, viewOfRecord } from './purchase-orders.js';

export const purchaseOperation: Operation = {
  method: 'post',
  path: '/api/v1/tokens/purchase',
  summary: 'Buy quota. Answers as soon as the purchase is started; follow it with GET /api/v1/tokens/purchase/{sagaId}',
  tag: 'purchases',
  body: purchaseBody,
  headers: purchaseHeaders,
  responses: {
    202: { description: 'Started, or the first purchase of this Idempotency-Key', schema: purchaseStarted },
    400: { description: 'Not valid, below the smallest purchase (PURCHASE_TOO_SMALL), or more than the pool may hold (POOL_CAP_EXCEEDED)' },
    403: { description: 'For another user, or for an organisation you are not a member of' },
    409: { description: 'The Idempotency-Key was used with another body' },
    429: { description: 'Too many purchases of yours are under way' },
    503: { description: 'Purchases are switched off, or the workflow engine does not answer; a repeat with the same key is safe' },
  },
};

/** Checks that write nothing, then starts the workflow, which writes everything. */
export function purchase(deps: PurchaseDeps): RequestHandler {
  return async (req, res) => {
    if (!deps.config.flags.sagaPurchases) throw new Problem('SERVICE_UNAVAILABLE', 'Purchases are switched off (flag sagaPurchases)');
    const body = purchaseBody.parse(req.body ?? {});
    const key = purchaseHeaders.parse(req.headers)['idempotency-key'] ?? null;
    const owner = await ownerOf(deps, res, body);
    const order = makeOrder(
      { ...body, ...owner },
      {
        paymentMethod: knownMethod(deps, body.paymentMethod),
        idempotencyKey: key,
        correlationId: res.locals.correlationId,
        limitSeconds: deps.config.purchase.limitSeconds,
        approvalAboveTokens: deps.config.purchase.approvalAboveTokens,
        now: deps.clock(),
      },
    );
    const accepted = (await repeated(deps, order)) ?? (await begin(deps, order, shareKeyOf(callerOf(res))));
    res.status(202).location(`/api/v1/tokens/purchase/${accepted.sagaId}`).json(accepted);
  };
}

/** Most purchases end within this. */
const RETRY_AFTER_SECONDS = 2;

type Accepted = z.input<typeof purchaseStarted>;

/** The row answers a repeated key for ever, also long after the workflow's history is gone. Null: there is no row (yet). */
async function repeated(deps: PurchaseDeps, order: PurchaseOrder): Promise<Accepted | null> {
  if (order.idempotencyKey === null) return null;
  const record = await deps.purchases.find(order.sagaId);
  return record && first(viewOfRecord(record), record.payloadHash, order);
}

async function begin(deps: PurchaseDeps, order: PurchaseOrder, caller: string): Promise<Accepted> {
  requireSmallest(order, deps.paymentMethods);
  const room = await deps.ledger.room(poolOf(order));
  if (room !== null && order.tokens > room.cap - room.used) {
    // The room may be gone because of this very purchase, begun by a parallel request with the same key.
    const earlier = await repeated(deps, order);
    if (earlier) return earlier;
    const free = Math.max(0, room.cap - room.used);
    throw new Problem(
      'POOL_CAP_EXCEEDED',
      `The pool may take ${free} more tokens; nothing was charged.${cannotBuyAtAll(order, room.cap, deps.paymentMethods)}`,
      {
        policy: 'pool-cap',
        limit: room.cap,
        used: room.used,
      },
    );
  }
  await takePlace(deps, order, caller);
  const started = await askEngine(order.sagaId, () => deps.engine.start(order));
  if (started === 'STARTED') return { sagaId: order.sagaId, status: 'STARTED', createdAt: order.createdAt, ...amountOf(order) };
  const earlier = await findSaga(deps, order.sagaId);
  if (!earlier) throw new Problem('ENGINE_UNAVAILABLE', 'The first purchase of this key cannot be read yet', { retryAfterSeconds: 1 });
  return first(earlier.view, earlier.payloadHash, order);
}

/** One caller's slow payments must not be what everybody's purchases wait behind. */
async function takePlace({ places }: PurchaseDeps, { sagaId }: PurchaseOrder, caller: string): Promise<void> {
  const { taken, used } = await places.take(sagaId, caller);
  if (taken) return;
  throw new Problem(
    'TOO_MANY_OPEN_PURCHASES',
    `You have ${used} purchases under way; wait until one of them has ended. Nothing was charged`,
    {
      policy: 'open-purchases',
      limit: places.perCaller,
      used,
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    },
  );
}

function first(saga: SagaView, payloadHash: string, order: PurchaseOrder): Accepted {
  if (payloadHash === order.payloadHash) {
    const { status, createdAt, amountCents, currency, simulated } = saga;
    return { sagaId: order.sagaId, status, createdAt, amountCents, currency, simulated };
  }
  throw new Problem('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key belongs to a purchase with another body', { sagaId: order.sagaId });
}

async function ownerOf(deps: PurchaseDeps, res: Response, body: z.output<typeof purchaseBody>): Promise<Ownership> {
  const caller = callerOf(res);
  const owner = await spendingOwner(deps.memberships, caller, body);
  if (owner.userId !== caller.userId) await requireOwner(deps.quota, 'user', owner.userId);
  if (owner.orgId !== null && isAdmin(caller)) await requireOwner(deps.quota, 'org', owner.orgId);
  return owner;
}

function knownMethod({ paymentMethods }: PurchaseDeps, method = paymentMethods.fallback): string {
  const fault = paymentMethods.fault(method);
  if (fault === null) return method;
  throw new Problem('INVALID_REQUEST', `paymentMethod: ${fault}`, { errors: [{ field: 'paymentMethod', message: fault }] });
}
