import type { StaleHold, StaleHolds, UsageBooks } from '../../activities/reconciliation-ports.js';
import type { Database } from './pool.js';

/** @param usage the usage store, when it is not this database */
export function createStaleHolds(db: Database, usage: Pick<UsageBooks, 'find'> | null = null): StaleHolds {
  return {
    async find(olderThanSeconds, limit) {
      const { rows } = await db.query<StaleHold>(
        `SELECT id, workflow_id AS "workflowId" FROM consumptions
          WHERE state = 'HELD' AND created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2`,
        [olderThanSeconds, limit],
      );
      return rows;
    },

    async findUnreported(olderThanSeconds, limit) {
      if (usage) return findUnreportedElsewhere(db, usage, olderThanSeconds, limit);
      const { rows } = await db.query<StaleHold>(
        `SELECT c.id, c.workflow_id AS "workflowId" FROM consumptions c
          WHERE c.state <> 'HELD' AND c.workflow_id IS NOT NULL
            AND c.created_at BETWEEN now() - make_interval(secs => $1) - interval '3 minutes' AND now() - make_interval(secs => $1)
            AND NOT EXISTS (SELECT 1 FROM usage_events u WHERE u.id = c.id)
          ORDER BY c.created_at LIMIT $2`,
        [olderThanSeconds, limit],
      );
      return rows;
    },
  };
}

const PAGE = 1_000;

/** Asks the other store for the consumptions of the same minutes, page by page, until enough are found that it does not have. */
async function findUnreportedElsewhere(
  db: Database,
  usage: Pick<UsageBooks, 'find'>,
  olderThanSeconds: number,
  limit: number,
): Promise<StaleHold[]> {
  const found: StaleHold[] = [];
  for (let offset = 0; found.length < limit; offset += PAGE) {
    const { rows } = await db.query<StaleHold>(
      `SELECT id, workflow_id AS "workflowId" FROM consumptions
        WHERE state <> 'HELD' AND workflow_id IS NOT NULL
          AND created_at BETWEEN now() - make_interval(secs => $1) - interval '3 minutes' AND now() - make_interval(secs => $1)
        ORDER BY created_at, id LIMIT $2 OFFSET $3`,
      [olderThanSeconds, PAGE, offset],
    );
    const reported = await usage.find(rows.map(({ id }) => id));
    found.push(...rows.filter(({ id }) => !reported.has(id)));
    if (rows.length < PAGE) break;
  }
  return found.slice(0, limit);
}
