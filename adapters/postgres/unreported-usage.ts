import type { StaleHold, UnreportedUsage, UsageBooks } from '../../activities/reconciliation-ports.js';
import type { Database } from './pool.js';

interface Passed extends StaleHold {
  /** As text: a JavaScript Date would lose its microseconds, and rows of the same millisecond with them */
  at: string;
  held: boolean;
  /** It may have left no event that this look would have to find */
  ended: boolean;
  reported: boolean;
}

const REPORTED = `EXISTS (SELECT 1 FROM usage_events u WHERE u.id = c.id)`;

/**
 * The look for consumptions whose usage was never published, by a stored mark (migrations/0009_consumption.sql). Safe with several
 * runners: a mark only moves forward, and only over what its runner has dealt with.
 *
 * @param usage the usage store, when it is not this database
 */
export function createUnreportedUsage(db: Database, usage: Pick<UsageBooks, 'find' | 'keptSince'> | null = null): UnreportedUsage {
  const inStore = usage === null ? REPORTED : 'false';

  /** Asks the other store, if there is one, for those that have ended. */
  async function missing<Row extends StaleHold & { ended: boolean; reported: boolean }>(rows: readonly Row[]): Promise<Row[]> {
    const ended = rows.filter((row) => row.ended && !row.reported);
    if (usage === null || ended.length === 0) return ended;
    const stored = await usage.find(ended.map(({ id }) => id));
    return ended.filter(({ id }) => !stored.has(id));
  }

  return {
    async nextPage(olderThanSeconds, limit) {
      // An event that its store has let expire is not missing.
      const since = usage?.keptSince().toISOString() ?? '-infinity';
      const { rows } = await db.query<Passed>(
        `SELECT c.id, c.workflow_id AS "workflowId", c.created_at::text AS at, c.state = 'HELD' AS held,
                c.state <> 'HELD' AND c.workflow_id IS NOT NULL AND c.decided_at >= $3 AS ended, ${inStore} AS reported
           FROM consumptions c
          WHERE (c.created_at, c.id) > ((SELECT looked_until FROM usage_look), (SELECT looked_id FROM usage_look))
            AND c.created_at < now() - make_interval(secs => $1)
          ORDER BY c.created_at, c.id LIMIT $2`,
        [olderThanSeconds, limit, since],
      );
      const last = rows.at(-1);
      return {
        held: rows.filter(({ held }) => held).map(({ id }) => id),
        unreported: await missing(rows),
        upTo: last ? { at: last.at, id: last.id } : null,
        complete: rows.length < limit,
      };
    },

    async pass(upTo, postponed) {
      await db.query(
        `WITH kept AS (INSERT INTO postponed_usage (consumption_id) SELECT unnest($3::uuid[]) ON CONFLICT DO NOTHING)
         UPDATE usage_look SET looked_until = $1, looked_id = $2, updated_at = now() WHERE (looked_until, looked_id) < ($1, $2)`,
        [upTo.at, upTo.id, postponed],
      );
    },

    async postponed(limit) {
      const { rows } = await db.query<StaleHold & { postponedId: string; ended: boolean; held: boolean; reported: boolean }>(
        `WITH oldest AS (
           UPDATE postponed_usage SET looked_at = now() WHERE consumption_id IN (
             SELECT consumption_id FROM postponed_usage ORDER BY looked_at LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING consumption_id)
         SELECT o.consumption_id AS "postponedId", c.id, c.workflow_id AS "workflowId", coalesce(c.state = 'HELD', false) AS held,
                coalesce(c.state <> 'HELD', false) AS ended, c.id IS NOT NULL AND ${inStore} AS reported
           FROM oldest o LEFT JOIN consumptions c ON c.id = o.consumption_id`,
        [limit],
      );
      const unreported = await missing(rows);
      const open = new Set([...unreported.map(({ id }) => id), ...rows.filter(({ held }) => held).map(({ id }) => id)]);
      await forget(rows.map(({ postponedId }) => postponedId).filter((id) => !open.has(id)));
      return unreported;
    },

    published: forget,

    async rewind() {
      await db.query(`UPDATE usage_look SET looked_until = '-infinity', updated_at = now()`);
    },
  };

  async function forget(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await db.query('DELETE FROM postponed_usage WHERE consumption_id = ANY($1::uuid[])', [ids]);
  }
}
