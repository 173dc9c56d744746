import type { ConsumptionRetention } from '../../activities/ports.js';
import type { Database } from './pool.js';

/** A row that is still HELD belongs to its workflow, however old it is. Ledger entries stay: they are the books. */
export function createConsumptionRetention(database: Database): ConsumptionRetention {
  return {
    async purgeConsumptions(before, limit) {
      const { rowCount } = await database.query(
        `DELETE FROM consumptions WHERE id IN (
           SELECT id FROM consumptions WHERE created_at < $1 AND state <> 'HELD' ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
        [before, limit],
      );
      return rowCount ?? 0;
    },
  };
}
