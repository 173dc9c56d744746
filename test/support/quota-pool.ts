import type { Database } from '../../adapters/postgres/pool.js';
import { v7 } from 'uuid';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { ensurePool, findPool, resetWindowOf } from '../../adapters/postgres/pools.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import type { PoolKey } from '../../contracts/temporal.js';
import type { Step } from '../../domain/quota/engine.js';
import { released, requestFor, settled } from './consumptions.js';

const WORKFLOW = 'quota-steps';

/** Takes the steps of domain/quota/engine.ts on a pool of the real ledger, through the product's own adapters. */
export function poolOnLedger(db: Database, key: PoolKey) {
  const store = createQuotaStore(db);
  const ledger = createConsumptionLedger(db, { enforceQuota: true });
  const purchases = createPurchaseLedger(db);
  const holds: string[] = [];
  const orders: string[] = [];

  async function end(hold: (id: string) => ReturnType<typeof settled>): Promise<void> {
    const id = holds.shift();
    if (id !== undefined) await ledger.settle([hold(id)]);
  }

  return {
    key,
    read: () => store.read(key),
    room: () => purchases.room(key),
    open: () => ensurePool(db, key),
    /** Writes the reset of a window that is over */
    settleWindow: () => resetWindowOf(db, key),
    /** Whether its window is over and nobody has written the reset yet */
    async isDue(): Promise<boolean> {
      const pool = await findPool(db, key);
      return pool !== null && pool.resetAt <= pool.readAt;
    },
    /** Resolves with false when the step is refused. */
    async take(step: Step, zone = 'UTC'): Promise<boolean> {
      switch (step.do) {
        case 'terms': {
          const custom = { capacityMultiplier: 1, leakMultiplier: 1, ...step.terms };
          await store.setPolicy(key.ownerKind, key.ownerId, { tier: 'ENTERPRISE', zone, custom });
          return true;
        }
        case 'reset':
          await db.query(
            `UPDATE pools SET reset_at = now() - interval '1 second' WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
            [key.ownerKind, key.ownerId, key.provider],
          );
          return true;
        case 'hold': {
          const request = requestFor(key, step.tokens);
          const [outcome] = await ledger.reserve(WORKFLOW, [request]);
          if (outcome?.state === 'HELD') holds.push(request.id);
          return outcome?.state === 'HELD';
        }
        case 'settle':
          await end((id) => settled(WORKFLOW, id, step.charge));
          return true;
        case 'release':
          await end((id) => released(WORKFLOW, id));
          return true;
        case 'order': {
          const sagaId = v7();
          const { ok } = await purchases.allocate(sagaId, key, step.tokens);
          if (ok) orders.push(sagaId);
          return ok;
        }
        case 'post':
        case 'void': {
          const sagaId = orders.shift();
          if (sagaId !== undefined) await purchases[step.do](sagaId);
          return true;
        }
        case 'total':
          return (await store.setTotal(key, step.tokens)).ok;
      }
    },
  };
}
