import type { BooksState } from '../../telemetry/gauges.js';
import type { Database } from './pool.js';

/** Reads through the partial indexes of what has not ended: as quick on a large ledger as on a small one. */
export function createBooksState(db: Database): () => Promise<BooksState> {
  return async () => {
    const [holds, purchases] = await Promise.all([
      db.query<BooksState['holds'][number]>(
        `SELECT provider, count(*) AS count, sum(tokens)::bigint AS tokens,
                extract(epoch FROM now() - min(created_at))::float8 AS "oldestSeconds"
           FROM consumptions WHERE state = 'HELD' GROUP BY provider`,
      ),
      db.query<BooksState['purchases'][number]>(
        `SELECT status, count(*) AS count, count(parked_on) AS parked,
                extract(epoch FROM now() - min(created_at))::float8 AS "oldestSeconds"
           FROM token_purchase_saga WHERE status NOT IN ('COMPLETED', 'FAILED') GROUP BY status`,
      ),
    ]);
    return { holds: holds.rows, purchases: purchases.rows };
  };
}
