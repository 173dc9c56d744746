import type { Database } from '../../adapters/postgres/pool.js';
import { buy, poolRow, userPool } from './consumptions.js';

export interface Row {
  id: string;
  state: string;
  charged: number;
  workflowId: string;
  code: string | null;
}

/** A user with tokens of openai, and what the ledger knows of it. */
export async function newBuyer(db: Database, tokens = 1_000) {
  const pool = userPool();
  const { ownerId: userId } = pool;
  if (tokens > 0) await buy(db, pool, tokens);
  const rows = async () =>
    (
      await db.query<Row>(
        'SELECT id, state, charged, workflow_id AS "workflowId", outcome_code AS code FROM consumptions WHERE user_id = $1 ORDER BY created_at',
        [userId],
      )
    ).rows;
  return {
    userId,
    pool,
    order: (over: object = {}) => ({ userId, provider: 'openai', tokens: 10, ...over }),
    balance: () => poolRow(db, pool),
    rows,
    held: async () => (await rows()).filter((row) => row.state === 'HELD').length,
    events: async () => (await db.query('SELECT 1 FROM usage_events WHERE user_id = $1', [userId])).rowCount ?? 0,
  };
}

/** For `eventually`: holds once that much time is over, for faults that last. */
export function patience(ms: number): () => boolean {
  const end = Date.now() + ms;
  return () => Date.now() > end;
}
