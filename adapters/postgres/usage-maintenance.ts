import type { UsageMaintenance } from '../../activities/ports.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { COARSEST_GRAIN_SECONDS, GRAINS_SECONDS, floorTo } from '../../domain/usage.js';
import { inLongTransaction, patient, type Connection, type Database } from './pool.js';

// Folding and purging exclude each other: a fold that runs beside a purge could bring back a roll-up whose events are gone.
// Readers and inserters take no such lock. Taken in a statement of its own, so that the next one's snapshot is newer.
const LOCK = `SELECT pg_advisory_xact_lock(hashtext('usage_rollups'))`;

const FOLD = `
  WITH taken AS (
    DELETE FROM usage_deltas WHERE seq <= (SELECT max(seq) FROM (SELECT seq FROM usage_deltas ORDER BY seq LIMIT $1) AS oldest)
    RETURNING provider, minute, user_id, org_id, tag, events, allowed_events, tokens
  ), folded AS (
    INSERT INTO usage_rollups AS r (grain, provider, bucket, user_id, org_id, tag, events, allowed_events, tokens)
    SELECT grain, provider, date_bin(make_interval(secs => grain), minute, 'epoch'::timestamptz), user_id, org_id, tag,
           sum(events), sum(allowed_events), sum(tokens)
    FROM taken CROSS JOIN unnest($2::int[]) AS grain
    GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT ON CONSTRAINT usage_rollups_key DO UPDATE
      SET events = r.events + excluded.events, allowed_events = r.allowed_events + excluded.allowed_events, tokens = r.tokens + excluded.tokens
  )
  SELECT count(*) AS deltas FROM taken`;

// One provider's rows are found through the same index as everything else; the list of providers is closed.
const OLDEST = `
  SELECT min(at) AS oldest FROM unnest($1::text[]) AS p (provider) CROSS JOIN LATERAL (
    (SELECT occurred_at AS at FROM usage_events WHERE provider = p.provider ORDER BY occurred_at LIMIT 1)
    UNION ALL (SELECT bucket FROM usage_rollups WHERE grain = $2 AND provider = p.provider ORDER BY bucket LIMIT 1)
  ) AS first`;

const PURGE = `
  WITH rollups AS (
    DELETE FROM usage_rollups WHERE grain = ANY($4::int[]) AND provider = ANY($1::text[]) AND bucket >= $2 AND bucket < $3
  ), deltas AS (
    DELETE FROM usage_deltas WHERE provider = ANY($1::text[]) AND minute >= $2 AND minute < $3
  ), events AS (
    DELETE FROM usage_events WHERE provider = ANY($1::text[]) AND occurred_at >= $2 AND occurred_at < $3 RETURNING 1
  )
  SELECT count(*) AS events FROM events`;

export function createUsageMaintenance(database: Database): UsageMaintenance {
  return {
    fold: (limit) =>
      inLongTransaction(database, async (connection) => {
        await connection.query(patient(LOCK));
        const { rows } = await connection.query<{ deltas: number }>(patient(FOLD, [limit, GRAINS_SECONDS]));
        const count = rows[0]?.deltas ?? 0;
        return { count, done: count < limit };
      }),

    purgeOldest: (before) =>
      inLongTransaction(database, async (connection) => {
        await connection.query(patient(LOCK));
        const hour = await oldestHour(connection);
        const end = floorTo(before.getTime(), COARSEST_GRAIN_SECONDS);
        if (hour === null || hour >= end) return null;
        const span = [new Date(hour), new Date(hour + COARSEST_GRAIN_SECONDS * 1_000)].map((at) => at.toISOString());
        const { rows } = await connection.query<{ events: number }>(patient(PURGE, [PROVIDERS, ...span, GRAINS_SECONDS]));
        return rows[0]?.events ?? 0;
      }),
  };
}

async function oldestHour(connection: Connection): Promise<number | null> {
  const { rows } = await connection.query<{ oldest: Date | null }>(patient(OLDEST, [PROVIDERS, COARSEST_GRAIN_SECONDS]));
  const oldest = rows[0]?.oldest;
  return oldest ? floorTo(oldest.getTime(), COARSEST_GRAIN_SECONDS) : null;
}
