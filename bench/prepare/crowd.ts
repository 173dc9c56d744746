import type { Database } from '../../adapters/postgres/pool.js';

const TOKENS_EACH = 1_000_000;

/** Pools of openai tokens for `count` users, with the entries that the audit asks for. @returns the users' ids */
export async function gatherCrowd(database: Database, count: number): Promise<string[]> {
  const { rows } = await database.query<{ userId: string }>(
    `WITH crowd AS MATERIALIZED (SELECT gen_random_uuid() AS user_id FROM generate_series(1, $1)),
     pool AS (
       INSERT INTO pools (owner_kind, owner_id, provider, purchased_total, purchased_remaining, reset_at)
       SELECT 'user', user_id, 'openai', ${TOKENS_EACH}, ${TOKENS_EACH}, now() + interval '1 day' FROM crowd
     ), entry AS (
       INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, purchased_tokens)
       SELECT gen_random_uuid(), 'purchase', 'user', user_id, 'openai', ${TOKENS_EACH} FROM crowd
     )
     SELECT user_id AS "userId" FROM crowd`,
    [count],
  );
  await database.query('VACUUM (ANALYZE) pools, ledger_entries');
  return rows.map(({ userId }) => userId);
}
