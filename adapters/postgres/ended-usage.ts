import type { UsageEvent } from '../../contracts/events.js';
import { USAGE_COLUMNS, usageEventOf, type StoredUsage } from './ledger.js';
import type { Database } from './pool.js';

/** The usage of all consumptions that ended in a span of time, refusals at the edge included, as their events; a page at a time. */
export async function* endedUsage(db: Database, span: { from: Date; to: Date }, pageSize = 1_000): AsyncGenerator<UsageEvent[]> {
  let after: [string, string] = ['-infinity', '00000000-0000-0000-0000-000000000000'];
  for (;;) {
    // What ended in the span began before its end; how long before, nothing says. Without an index on decided_at this reads all
    // that began earlier, which an operator's command may.
    const { rows } = await db.query<StoredUsage & { at: string }>(
      `SELECT ${USAGE_COLUMNS}, created_at::text AS at FROM consumptions
        WHERE (created_at, id) > ($1::timestamptz, $2::uuid) AND created_at < $4
          AND state <> 'HELD' AND decided_at >= $3 AND decided_at < $4
        ORDER BY created_at, id LIMIT $5`,
      [...after, span.from, span.to, pageSize],
    );
    if (rows.length > 0) yield rows.map(usageEventOf);
    const last = rows.at(-1);
    if (!last || rows.length < pageSize) return;
    after = [last.at, last.id];
  }
}
