import type { User, Users } from '../../api/auth/ports.js';
import { NEVER_MS } from '../../api/http/key-revocations.js';
import { inNameOf } from './admin-log.js';
import type { Connection, Database } from './pool.js';
import { violated } from './violations.js';

const SELECT = `
  SELECT u.id, u.username, u.email, u.password_hash AS "passwordHash", u.created_at AS "createdAt",
         u.disabled_at AS "disabledAt", u.tokens_valid_after AS "tokensValidAfter",
         ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles
    FROM users u`;

const NO_USER = '00000000-0000-0000-0000-000000000000';
const AT_ONCE = 1_000;

export function createUsers(pool: Database): Users {
  const one = async (where: string, value: string): Promise<User | null> => {
    const { rows } = await pool.query<User>(`${SELECT} WHERE ${where}`, [value]);
    return rows[0] ?? null;
  };
  return {
    byUsernameKey: (usernameKey) => one('u.username_key = $1', usernameKey),
    byId: (id) => one('u.id = $1', id),

    async rehash(userId, passwordHash, newHash) {
      await pool.query('UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2', [userId, passwordHash, newHash]);
    },

    async fillSkeletons(skeletonOf) {
      for (let last = NO_USER; ;) {
        const { rows } = await pool.query<{ id: string; username: string }>(
          'SELECT id, username FROM users WHERE username_skeleton IS NULL AND id > $1 ORDER BY id LIMIT $2',
          [last, AT_ONCE],
        );
        const end = rows.at(-1);
        if (!end) return;
        last = end.id;
        // The oldest of those that look alike gets it.
        const wanted = new Map([...rows].reverse().map(({ id, username }) => [skeletonOf(username), id]));
        await pool
          .query(
            `UPDATE users u SET username_skeleton = wanted.skeleton
             FROM unnest($1::text[], $2::uuid[]) AS wanted (skeleton, id)
            WHERE u.id = wanted.id AND u.username_skeleton IS NULL
              AND NOT EXISTS (SELECT 1 FROM users other WHERE other.username_skeleton = wanted.skeleton)`,
            [[...wanted.keys()], [...wanted.values()]],
          )
          .catch((error: unknown) => {
            // Somebody registered one of them just now. The next start does the others.
            if (!violated(error, 'users_username_skeleton_key')) throw error;
          });
      }
    },

    async taken({ usernameKey, usernameSkeleton }, email) {
      const { rows } = await pool.query<{ named: boolean }>(
        `SELECT username_key = $1 OR coalesce(username_skeleton = $3, false) AS named FROM users
          WHERE username_key = $1 OR username_skeleton = $3 OR email = $2 ORDER BY named DESC LIMIT 1`,
        [usernameKey, email, usernameSkeleton],
      );
      return rows[0] ? (rows[0].named ? 'USERNAME_TAKEN' : 'EMAIL_TAKEN') : null;
    },

    async create(user, by = { userId: user.id, correlationId: null }) {
      try {
        return await inNameOf(pool, by, async (connection) => {
          const { rows } = await connection.query<{ createdAt: Date }>(
            `INSERT INTO users (id, username, username_key, email, password_hash, username_skeleton) VALUES ($1, $2, $3, $4, $5, $6)
             RETURNING created_at AS "createdAt"`,
            [user.id, user.username, user.usernameKey, user.email, user.passwordHash, user.usernameSkeleton],
          );
          await connection.query('INSERT INTO user_roles (user_id, role) SELECT $1, unnest($2::text[])', [user.id, user.roles]);
          return rows[0] as { createdAt: Date };
        });
      } catch (error) {
        if (violated(error, 'users_username_key_key') || violated(error, 'users_username_skeleton_key')) return 'USERNAME_TAKEN';
        if (violated(error, 'users_email_key')) return 'EMAIL_TAKEN';
        throw error;
      }
    },

    async addRole(userId, role, by) {
      try {
        return await inNameOf(pool, by, async (connection) => {
          await connection.query('INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING', [userId, role]);
          return true;
        });
      } catch (error) {
        if (violated(error, 'user_roles_user_id_fkey')) return false;
        throw error;
      }
    },

    // That tokens have ended is recorded and announced by triggers (migrations/0006_authority.sql).
    removeRole: (userId, role, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await exists(connection, userId))) return 'NO_SUCH_USER';
        if (role === 'ADMIN' && (await isLastAdmin(connection, userId))) return 'LAST_ADMIN';
        const { rowCount } = await connection.query('DELETE FROM user_roles WHERE user_id = $1 AND role = $2', [userId, role]);
        if (rowCount === 0) return 'ROLE_NOT_HELD';
        return { validAfter: await tokensValidAfter(connection, userId) };
      }),

    setDisabled: (userId, disabled, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await exists(connection, userId))) return 'NO_SUCH_USER';
        if (disabled && (await isLastAdmin(connection, userId))) return 'LAST_ADMIN';
        await connection.query(`UPDATE users SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END WHERE id = $1`, [
          userId,
          disabled,
        ]);
        return { validAfter: disabled ? NEVER_MS : await tokensValidAfter(connection, userId) };
      }),

    remove: (userId, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await exists(connection, userId))) return 'NO_SUCH_USER';
        if (await isLastAdmin(connection, userId)) return 'LAST_ADMIN';
        if (await isAnyLastOwner(connection, userId)) return 'LAST_OWNER';
        await connection.query('DELETE FROM users WHERE id = $1', [userId]);
        return { validAfter: NEVER_MS };
      }),
  };
}

async function exists(connection: Connection, userId: string): Promise<boolean> {
  const { rowCount } = await connection.query('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [userId]);
  return rowCount === 1;
}

/** Of ADMINs that are not disabled. Changes to them come one after another: two who end each other must not leave none. */
async function isLastAdmin(connection: Connection, userId: string): Promise<boolean> {
  await connection.query(`SELECT 1 FROM roles WHERE name = 'ADMIN' FOR UPDATE`);
  const { rows } = await connection.query<{ userId: string }>(
    `SELECT r.user_id AS "userId" FROM user_roles r JOIN users u ON u.id = r.user_id
      WHERE r.role = 'ADMIN' AND u.disabled_at IS NULL LIMIT 2`,
  );
  return rows.length === 1 && rows[0]?.userId === userId;
}

/** Locks the user's organisations as those who change their members do (orgs.ts). */
async function isAnyLastOwner(connection: Connection, userId: string): Promise<boolean> {
  await connection.query(
    `SELECT 1 FROM orgs WHERE id IN (SELECT org_id FROM org_members WHERE user_id = $1 AND role = 'OWNER') ORDER BY id FOR UPDATE`,
    [userId],
  );
  const { rowCount } = await connection.query(
    `SELECT 1 FROM org_members mine WHERE mine.user_id = $1 AND mine.role = 'OWNER' AND NOT EXISTS (
       SELECT 1 FROM org_members m WHERE m.org_id = mine.org_id AND m.role = 'OWNER' AND m.user_id <> $1) LIMIT 1`,
    [userId],
  );
  return rowCount === 1;
}

async function tokensValidAfter(connection: Connection, userId: string): Promise<number> {
  const { rows } = await connection.query<{ at: Date | null }>('SELECT tokens_valid_after AS at FROM users WHERE id = $1', [userId]);
  return rows[0]?.at?.getTime() ?? 0;
}
