import type { AdminLog, AdminLogEntry } from '../../api/auth/ports.js';
import type { Actor } from '../../domain/accounts/actor.js';
import { inTransaction, type Connection, type Database } from './pool.js';

/**
 * One transaction whose changes are in somebody's name: triggers write the admin log with it (migrations/0005_consent.sql). A
 * change outside of it is logged as by `database`.
 */
export function inNameOf<T>(pool: Database, by: Actor, work: (connection: Connection) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (connection) => {
    await actAs(connection, by);
    return work(connection);
  });
}

/** To the end of the transaction. */
export async function actAs(connection: Connection, { userId, correlationId }: Actor): Promise<void> {
  await connection.query({
    name: 'act_as',
    text: `SELECT set_config('leaky.actor', $1, true), set_config('leaky.correlation', $2, true)`,
    values: [userId, correlationId ?? ''],
  });
}

/** For what no trigger can tell from other changes: the total of a pool, which every call changes too. */
export async function logChange(
  connection: Connection,
  { action, targetKind, targetId, before, after }: Pick<AdminLogEntry, 'action' | 'targetKind' | 'targetId' | 'before' | 'after'>,
): Promise<void> {
  await connection.query('SELECT log_admin_change($1, $2, $3, ARRAY[$3]::text[], $4, $5)', [action, targetKind, targetId, before, after]);
}

const COLUMNS = `id, at, actor, action, target_kind AS "targetKind", target_id AS "targetId", before, after,
  correlation_id AS "correlationId"`;

export function createAdminLog(pool: Database): AdminLog {
  return {
    async page({ actor, action, target, from, before, limit }) {
      const { rows } = await pool.query<AdminLogEntry>(
        `SELECT ${COLUMNS} FROM admin_log
          WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR about @> ARRAY[$3])
            AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::bigint IS NULL OR id < $5)
          ORDER BY id DESC LIMIT $6`,
        [actor ?? null, action ?? null, target ?? null, from ?? null, before ?? null, limit],
      );
      return rows;
    },

    async purge(olderThanDays) {
      await pool.query('DELETE FROM admin_log WHERE at < now() - make_interval(days => $1)', [olderThanDays]);
    },
  };
}
