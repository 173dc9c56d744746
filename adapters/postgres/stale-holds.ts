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
  };
}
