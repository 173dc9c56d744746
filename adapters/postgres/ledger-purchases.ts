import type { AllocationOutcome, PurchaseLedger } from '../../activities/ports.js';
import type { Database } from './pool.js';
import { ensurePool, purchaseRoom } from './pools.js';

/** Purchased tokens in two phases; the state machine is in migrations/0002 and 0008 (allocate_purchase, end_allocation). */
export function createPurchaseLedger(db: Database): PurchaseLedger {
  async function end(sagaId: string, state: 'POSTED' | 'VOIDED'): Promise<void> {
    const { rows } = await db.query<{ state: string }>('SELECT end_allocation($1, $2) AS state', [sagaId, state]);
    if (rows[0]?.state !== state) throw new Error(`The allocation of saga ${sagaId} is ${rows[0]?.state}, it cannot become ${state}`);
  }
  return {
    async allocate(sagaId, pool, tokens): Promise<AllocationOutcome> {
      await ensurePool(db, pool);
      const { rows } = await db.query<{ outcome: 'OK' | 'OVER_CAP' | 'VOIDED' }>(
        'SELECT allocate_purchase($1, $2, $3, $4, $5) AS outcome',
        [sagaId, pool.ownerKind, pool.ownerId, pool.provider, tokens],
      );
      const outcome = rows[0]?.outcome ?? 'VOIDED';
      return outcome === 'OK' ? { ok: true } : { ok: false, reason: outcome };
    },
    post: (sagaId) => end(sagaId, 'POSTED'),
    void: (sagaId) => end(sagaId, 'VOIDED'),
    room: (pool) => purchaseRoom(db, pool),
  };
}
