import type { PurchasePlaces } from '../../api/tokens/purchase-ports.js';
import type { Database } from './pool.js';

/** Exact over all processes: the rule is a function of the database (migrations/0007_money.sql), which lets callers of one share take turns. */
export function createPurchasePlaces(db: Database, perCaller: number): PurchasePlaces {
  return {
    perCaller,
    async take(sagaId, caller) {
      const { rows } = await db.query<{ taken: boolean; used: number }>('SELECT taken, used FROM take_purchase_place($1, $2, $3)', [
        sagaId,
        caller,
        perCaller,
      ]);
      return rows[0] ?? { taken: false, used: 0 };
    },
  };
}
