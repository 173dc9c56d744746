import { GRAINS_SECONDS } from '../../domain/usage.js';
import { patient, type Database } from './pool.js';

// Both sides per grain and key; what is not folded yet counts towards the roll-up it will be folded into.
const MISMATCHES = `
  WITH counted AS (
    SELECT grain, provider, date_bin(make_interval(secs => grain), occurred_at, 'epoch'::timestamptz) AS bucket, user_id, org_id, tag,
           count(*) AS events, count(*) FILTER (WHERE allowed) AS allowed_events, coalesce(sum(tokens) FILTER (WHERE allowed), 0) AS tokens
    FROM usage_events CROSS JOIN unnest($1::int[]) AS grain GROUP BY 1, 2, 3, 4, 5, 6
  ), claimed AS (
    SELECT grain, provider, bucket, user_id, org_id, tag, sum(events) AS events, sum(allowed_events) AS allowed_events, sum(tokens) AS tokens
    FROM (
      SELECT grain, provider, bucket, user_id, org_id, tag, events, allowed_events, tokens FROM usage_rollups
      UNION ALL
      SELECT grain, provider, date_bin(make_interval(secs => grain), minute, 'epoch'::timestamptz), user_id, org_id, tag,
             events, allowed_events, tokens
      FROM usage_deltas CROSS JOIN unnest($1::int[]) AS grain
    ) AS both_tables GROUP BY 1, 2, 3, 4, 5, 6
  )
  SELECT count(*) AS mismatches FROM (
    (TABLE counted EXCEPT TABLE claimed) UNION (TABLE claimed EXCEPT TABLE counted)
  ) AS differences`;

/**
 * Recounts all raw events and compares every roll-up with the recount, in one snapshot. Answers the number of keys that
 * differ: 0 on a sound database. Reads every usage event; for audits and tests, not for requests.
 */
export async function countRollUpMismatches(database: Pick<Database, 'query'>): Promise<number> {
  const { rows } = await database.query<{ mismatches: number }>(patient(MISMATCHES, [GRAINS_SECONDS]));
  return rows[0]?.mismatches ?? 0;
}
