import type { UsageSink } from '../../activities/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import type { Database } from './pool.js';
import { storing } from './unstorable.js';

/** Bounds one statement's parameters and the time its row locks are held. */
const CHUNK = 5_000;

// The ids are inserted in order, so that two deliveries of overlapping batches wait for each other instead of deadlocking.
// Only rows that were really inserted are counted, which makes redelivery, also a concurrent one, count once.
const STORE = `
  WITH incoming AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::bigint[], $7::boolean[],
                         $8::text[], $9::text[], $10::text[])
      AS e (id, provider, occurred_at, user_id, org_id, tokens, allowed, reason, request_id, tag)
  ), stored AS (
    INSERT INTO usage_events (id, provider, occurred_at, user_id, org_id, tokens, allowed, reason, request_id, tag)
    SELECT * FROM incoming ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING provider, occurred_at, user_id, org_id, tokens, allowed, tag
  )
  INSERT INTO usage_deltas (provider, minute, user_id, org_id, tag, events, allowed_events, tokens)
  SELECT provider, date_trunc('minute', occurred_at, 'UTC'), user_id, org_id, tag,
         count(*), count(*) FILTER (WHERE allowed), coalesce(sum(tokens) FILTER (WHERE allowed), 0)
  FROM stored
  GROUP BY 1, 2, 3, 4, 5`;

/** Stores usage events; an id that is already there is left as it is. */
export function createUsageSink(database: Database): UsageSink {
  return {
    async publish(events) {
      for (let from = 0; from < events.length; from += CHUNK) {
        await storing(database.query({ name: 'usage-store', text: STORE, values: columns(events.slice(from, from + CHUNK)) }));
      }
    },
  };
}

const columns = (events: readonly UsageEvent[]): unknown[] => [
  events.map((event) => event.id),
  events.map((event) => event.provider),
  events.map((event) => event.timestamp),
  events.map((event) => event.userId),
  events.map((event) => event.orgId),
  events.map((event) => event.tokens),
  events.map((event) => event.allowed),
  events.map((event) => event.reason),
  events.map((event) => event.requestId),
  events.map((event) => event.tag),
];
