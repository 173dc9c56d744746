import type { User, Users } from '../../api/auth/ports.js';
import { inNameOf } from './admin-log.js';
import type { Database } from './pool.js';
import { violated } from './violations.js';

const SELECT = `
  SELECT u.id, u.username, u.email, u.password_hash AS "passwordHash", u.created_at AS "createdAt",
         ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles
    FROM users u`;

export function createUsers(pool: Database): Users {
  const one = async (where: string, value: string): Promise<User | null> => {
    const { rows } = await pool.query<User>(`${SELECT} WHERE ${where}`, [value]);
    return rows[0] ?? null;
  };
  return {
    byUsernameKey: (usernameKey) => one('u.username_key = $1', usernameKey),
    byId: (id) => one('u.id = $1', id),

    async taken(usernameKey, email) {
      const { rows } = await pool.query<{ named: boolean }>(
        'SELECT username_key = $1 AS named FROM users WHERE username_key = $1 OR email = $2 ORDER BY named DESC LIMIT 1',
        [usernameKey, email],
      );
      return rows[0] ? (rows[0].named ? 'USERNAME_TAKEN' : 'EMAIL_TAKEN') : null;
    },

    async create(user, by = { userId: user.id, correlationId: null }) {
      try {
        return await inNameOf(pool, by, async (connection) => {
          const { rows } = await connection.query<{ createdAt: Date }>(
            `INSERT INTO users (id, username, username_key, email, password_hash) VALUES ($1, $2, $3, $4, $5)
             RETURNING created_at AS "createdAt"`,
            [user.id, user.username, user.usernameKey, user.email, user.passwordHash],
          );
          await connection.query('INSERT INTO user_roles (user_id, role) SELECT $1, unnest($2::text[])', [user.id, user.roles]);
          return rows[0] as { createdAt: Date };
        });
      } catch (error) {
        if (violated(error, 'users_username_key_key')) return 'USERNAME_TAKEN';
        if (violated(error, 'users_email_key')) return 'EMAIL_TAKEN';
        throw error;
      }
    },

    addRole: (userId, role, by) =>
      inNameOf(pool, by, async (connection) => {
        await connection.query('INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING', [userId, role]);
      }),
  };
}
