import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import type { ConsumptionRequest, Settlement } from '../../activities/consumption-ports.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import type { ProviderName } from '../../contracts/providers.js';
import type { PoolKey } from '../../contracts/temporal.js';

export const userPool = (userId: string = randomUUID(), provider: ProviderName = 'openai'): PoolKey => ({
  ownerKind: 'user',
  ownerId: userId,
  provider,
});

/** Fills a pool the way a purchase does. */
export async function buy(db: Database, pool: PoolKey, tokens: number): Promise<void> {
  const ledger = createPurchaseLedger(db);
  const sagaId = v7();
  const outcome = await ledger.allocate(sagaId, pool, tokens);
  if (!outcome.ok) throw new Error(`not allocated: ${outcome.reason}`);
  await ledger.post(sagaId);
}

export function requestFor(pool: PoolKey, tokens: number, over: Partial<ConsumptionRequest> = {}): ConsumptionRequest {
  return {
    id: v7(),
    userId: pool.ownerKind === 'user' ? pool.ownerId : randomUUID(),
    orgId: pool.ownerKind === 'org' ? pool.ownerId : null,
    provider: pool.provider,
    tokens,
    prompt: null,
    model: null,
    tag: null,
    payloadHash: '',
    keyed: false,
    correlationId: randomUUID(),
    bucket: { capacity: 1000, used: tokens, remaining: 1000 - tokens },
    ...over,
  };
}

export const settled = (workflowId: string, id: string, charge: number): Settlement => ({
  id,
  workflowId,
  charge,
  code: null,
  detail: null,
  attempts: 1,
  answer: { id: 'answer-1', provider: 'openai', model: 'm', message: 'hello', usage: null },
});

export const released = (workflowId: string, id: string): Settlement => ({
  ...settled(workflowId, id, 0),
  code: 'PROVIDER_FAILED',
  detail: 'it said 500',
  answer: null,
});

/** The columns of a pool as numbers. */
export async function poolRow(db: Database, pool: PoolKey): Promise<Record<string, number>> {
  const { rows } = await db.query<Record<string, number>>(
    `SELECT allowance_remaining AS allowance, purchased_remaining AS purchased, reserved, pending, purchased_total, granted_total,
            consumed_total, refunded_total, expired_total
       FROM pools WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
    [pool.ownerKind, pool.ownerId, pool.provider],
  );
  if (!rows[0]) throw new Error('no such pool');
  return rows[0];
}
