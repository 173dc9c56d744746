import type { Database } from '../../adapters/postgres/pool.js';
import { inTransaction } from '../../adapters/postgres/pool.js';
import { GRAINS_SECONDS } from '../../domain/usage.js';

/** Marks the rows made here, so that the accounting can leave them out. */
export const PREFILL = 'prefill';

const OWNERS = 10_000;
/** The events lie within these last hours, so that one report covers them all. */
export const PREFILL_HOURS = 48;

/**
 * Fills the ledger and the usage store as if `count` consumptions of one token each had been settled: rows, entries, pools, events
 * and roll-ups that obey every law of the audit. Ids rise with time, as those of the service do. Takes about a minute for a million;
 * the database must not have the product's time limits.
 */
export async function prefill(database: Database, count: number): Promise<void> {
  await inTransaction(database, async (connection) => {
    await connection.query(
      `CREATE TEMP TABLE past ON COMMIT DROP AS
       SELECT uuidv7(-(interval '1 hour' * ${PREFILL_HOURS}) * (1 - n::float8 / ${count})) AS id,
              ('00000000-0000-4000-8000-' || lpad(to_hex(n % ${OWNERS}), 12, '0'))::uuid AS user_id,
              now() - (interval '1 hour' * ${PREFILL_HOURS}) * (1 - n::float8 / ${count}) AS at
         FROM generate_series(0, ${count - 1}) AS n`,
    );
    for (const statement of STATEMENTS) await connection.query(statement);
    await connection.query(ROLLUPS, [GRAINS_SECONDS]);
  });
  await database.query('VACUUM (ANALYZE) consumptions, ledger_entries, usage_events, usage_rollups');
}

const ANSWER = JSON.stringify({
  id: 'prefill',
  provider: 'openai',
  model: 'stub',
  message: 'The bucket leaks, as buckets do.',
  usage: null,
});

const STATEMENTS = [
  `INSERT INTO consumptions (id, workflow_id, user_id, provider, tokens, state, held_purchased, window_no, charged, attempts, answer, bucket,
                             payload_hash, keyed, correlation_id, created_at, decided_at)
   SELECT id, '${PREFILL}', user_id, 'openai', 1, 'SETTLED', 1, 0, 1, 1, '${ANSWER}', '{"capacity": 1000, "used": 1, "remaining": 999}',
          '', false, id::text, at, at FROM past ORDER BY past.id`,
  `INSERT INTO pools (owner_kind, owner_id, provider, purchased_total, consumed_total, reset_at)
   SELECT 'user', user_id, 'openai', count(*), count(*), now() + interval '1 day' FROM past GROUP BY user_id`,
  `INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, purchased_tokens, recorded_at)
   SELECT uuidv7(), 'purchase', 'user', user_id, 'openai', count(*), min(at) FROM past GROUP BY user_id`,
  `INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, purchased_tokens, recorded_at)
   SELECT past.id, kind, 'user', user_id, 'openai', 1, at FROM past CROSS JOIN (VALUES ('hold'), ('settle')) AS k(kind) ORDER BY past.id`,
  `INSERT INTO usage_events (id, provider, occurred_at, user_id, tokens, allowed, request_id, tag)
   SELECT id, 'openai', at, user_id, 1, true, id::text, '${PREFILL}' FROM past ORDER BY past.id`,
];

const ROLLUPS = `
  INSERT INTO usage_rollups (grain, provider, bucket, user_id, tag, events, allowed_events, tokens)
  SELECT grain, 'openai', date_bin(make_interval(secs => grain), at, 'epoch'::timestamptz), user_id, '${PREFILL}', count(*), count(*), count(*)
    FROM past CROSS JOIN unnest($1::int[]) AS grain GROUP BY 1, 3, 4`;
