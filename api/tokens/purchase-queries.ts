import type { RequestHandler } from 'express';
import { z } from 'zod';
import { Problem } from '../../contracts/errors.js';
import { purchasePage, purchaseParams, purchasesQuery, purchaseView } from '../../contracts/http/purchases.js';
import { callerOf } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { listedOwner } from '../identity/authority.js';
import { requireSaga, type PurchaseDeps } from './purchase-deps.js';
import { viewOfRecord } from './purchase-orders.js';
import type { PurchaseRecord } from './purchase-ports.js';

export const purchaseByIdOperation: Operation = {
  method: 'get',
  path: '/api/v1/tokens/purchase/{sagaId}',
  summary: 'One purchase: how far it is, or why it failed',
  tag: 'purchases',
  params: purchaseParams,
  responses: {
    200: { description: 'The purchase', schema: purchaseView },
    404: { description: 'No such purchase, or someone else\u2019s' },
  },
};

export function purchaseById(deps: PurchaseDeps): RequestHandler {
  return async (req, res) => {
    res.json(await requireSaga(deps, res, purchaseParams.parse(req.params).sagaId));
  };
}

export const purchasesOperation: Operation = {
  method: 'get',
  path: '/api/v1/tokens/purchases',
  summary: 'Purchases of a user or for an organisation, newest first',
  tag: 'purchases',
  query: purchasesQuery,
  responses: {
    200: { description: 'A page', schema: purchasePage },
    400: { description: 'Not valid' },
    403: { description: 'Another user\u2019s, or of an organisation whose OWNER you are not' },
  },
};

export function purchases(deps: PurchaseDeps): RequestHandler {
  return async (req, res) => {
    const query = purchasesQuery.parse(req.query);
    const owner = await listedOwner(deps.memberships, callerOf(res), query);
    const before = query.cursor === undefined ? null : readCursor(query.cursor);
    // One more than asked for tells whether there is a next page.
    const rows = await deps.purchases.newest(owner, query.limit + 1, before);
    const items = rows.slice(0, query.limit);
    const last = items.at(-1);
    res.json({
      items: items.map(viewOfRecord),
      nextCursor: rows.length > query.limit && last ? writeCursor(last) : null,
    } satisfies z.input<typeof purchasePage>);
  };
}

/** createdAt has whole milliseconds in the row too, so the cursor is exact. */
const writeCursor = ({ createdAt, id }: PurchaseRecord) => Buffer.from(`${createdAt.toISOString()}|${id}`).toString('base64url');

const position = z.tuple([z.iso.datetime(), z.guid()]);

function readCursor(cursor: string): { createdAt: string; id: string } {
  const parsed = position.safeParse(Buffer.from(cursor, 'base64url').toString('utf8').split('|'));
  if (!parsed.success)
    throw new Problem('INVALID_REQUEST', 'cursor: not one of ours', { errors: [{ field: 'cursor', message: 'not one of ours' }] });
  const [createdAt, id] = parsed.data;
  return { createdAt, id };
}
