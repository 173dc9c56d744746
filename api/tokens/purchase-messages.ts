import type { RequestHandler } from 'express';
import { Problem } from '../../contracts/errors.js';
import { purchaseAccepted, purchaseParams } from '../../contracts/http/purchases.js';
import { callerOf, requireAdmin } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { askEngine, requireOwnSaga, requireSaga, type PurchaseDeps } from './purchase-deps.js';

const RESPONSES: Operation['responses'] = {
  202: { description: 'Passed on; follow it with GET. The same when repeated', schema: purchaseAccepted },
  404: { description: 'No such purchase, or someone else\u2019s' },
  503: { description: 'The workflow engine does not answer; a repeat is safe' },
};

export const cancelOperation: Operation = {
  method: 'post',
  path: '/api/v1/tokens/purchase/{sagaId}/cancel',
  summary: 'Cancel a purchase that has not reached the point of no return: what was done is undone, then it ends as FAILED',
  tag: 'purchases',
  params: purchaseParams,
  responses: { ...RESPONSES, 409: { description: 'Past the point of no return, or ended otherwise' } },
};

export function cancel(deps: PurchaseDeps): RequestHandler {
  return async (req, res) => {
    const { sagaId } = purchaseParams.parse(req.params);
    const { status, createdAt } = await requireOwnSaga(deps, res, sagaId);
    const answer = await askEngine(sagaId, () => deps.engine.cancel(sagaId));
    if (answer.result === 'REFUSED') throw new Problem('NOT_CANCELLABLE', answer.detail);
    if (answer.result === 'CANCELLING') return void res.status(202).json({ sagaId, status, createdAt });
    // It has ended, perhaps by the first of these requests: a repeat is no failure.
    const ended = await requireOwnSaga(deps, res, sagaId);
    if (ended.failureReason !== 'CANCELLED') throw new Problem('NOT_CANCELLABLE', 'The purchase has ended');
    res.status(202).json({ sagaId, status: ended.status, createdAt });
  };
}

const adminOperation = (action: string, summary: string): Operation => ({
  method: 'post',
  path: `/api/v1/tokens/purchase/{sagaId}/${action}`,
  summary,
  tag: 'purchases',
  params: purchaseParams,
  responses: { ...RESPONSES, 403: { description: 'Needs ADMIN' }, 409: { description: 'The purchase has ended' } },
});

export const approveOperation = adminOperation('approve', 'ADMIN: approve a purchase that waits for it');
export const retryOperation = adminOperation('retry', 'ADMIN: try a parked purchase again now');

/** A signal has no answer: 202 says that the purchase will get it, not what it makes of it. */
export function signal(deps: PurchaseDeps, name: 'approve' | 'retryNow'): RequestHandler {
  return async (req, res) => {
    requireAdmin(callerOf(res));
    const { sagaId } = purchaseParams.parse(req.params);
    const { status, createdAt } = await requireSaga(deps, res, sagaId);
    const delivered = await askEngine(sagaId, () => deps.engine.signal(sagaId, name));
    if (!delivered) throw new Problem('CONFLICT', 'The purchase has ended');
    res.status(202).json({ sagaId, status, createdAt });
  };
}
