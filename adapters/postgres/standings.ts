import type { AskStanding } from '../../api/identity/standings.js';
import type { Database } from './pool.js';

/** @param database opened with the first question: a gateway asks none */
export function createPostgresStanding(database: () => Pick<Database, 'query'>): AskStanding {
  return async ({ userId, keyHash }) => {
    const { rows } = await database().query<{ validAfter: Date | null; admin: boolean; keyEnded: boolean }>({
      name: 'standing_of',
      text: `SELECT u.tokens_valid_after AS "validAfter",
                    EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.role = 'ADMIN') AS admin,
                    EXISTS (SELECT 1 FROM api_key_endings e WHERE e.secret_hash = decode($2, 'hex') AND e.valid_until <= now()) AS "keyEnded"
               FROM users u WHERE u.id = $1 AND u.disabled_at IS NULL`,
      values: [userId, keyHash],
    });
    const row = rows[0];
    return row ? { admin: row.admin, keyEnded: row.keyEnded, validAfter: row.validAfter?.getTime() ?? 0 } : null;
  };
}
