import type { StaleHold, StaleHolds } from '../../activities/reconciliation-ports.js';
import type { Database } from './pool.js';

export function createStaleHolds(db: Database): StaleHolds {
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
