import type { Org, OrgMember, OrgRole, Orgs } from '../../api/auth/ports.js';
import { endingsOf } from './api-keys.js';
import { inNameOf } from './admin-log.js';
import type { Connection, Database } from './pool.js';
import { violated } from './violations.js';

const MEMBER = `m.org_id AS "orgId", m.user_id AS "userId", u.username, m.role, m.created_at AS "createdAt"`;

export function createOrgs(pool: Database): Orgs {
  return {
    async create(id, name, ownerId, by) {
      try {
        return await inNameOf(pool, by, async (connection) => {
          const { rows } = await connection.query<Org>(
            'INSERT INTO orgs (id, name, created_by) VALUES ($1, $2, $3) RETURNING id, name, created_at AS "createdAt"',
            [id, name, ownerId],
          );
          await connection.query(`INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, 'OWNER')`, [id, ownerId]);
          return rows[0] as Org;
        });
      } catch (error) {
        if (violated(error, 'orgs_created_by_fkey')) return 'NO_SUCH_USER';
        throw error;
      }
    },

    async exists(id) {
      const { rowCount } = await pool.query('SELECT 1 FROM orgs WHERE id = $1', [id]);
      return rowCount === 1;
    },

    async of(userId) {
      const { rows } = await pool.query<Org & { role: OrgRole }>(
        `SELECT o.id, o.name, o.created_at AS "createdAt", m.role FROM org_members m JOIN orgs o ON o.id = m.org_id
          WHERE m.user_id = $1 ORDER BY o.id`,
        [userId],
      );
      return rows;
    },

    async roleOf(orgId, userId) {
      const { rows } = await pool.query<{ role: OrgRole }>('SELECT role FROM org_members WHERE org_id = $1 AND user_id = $2', [
        orgId,
        userId,
      ]);
      return rows[0]?.role ?? null;
    },

    async members(orgId) {
      const { rows } = await pool.query<OrgMember>(
        `SELECT ${MEMBER} FROM org_members m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 ORDER BY m.created_at, m.user_id`,
        [orgId],
      );
      return rows;
    },

    async putMember(orgId, userId, role, by) {
      try {
        return await inNameOf(pool, by, async (connection) => {
          if (!(await lockOrg(connection, orgId))) return 'NO_SUCH_ORG';
          if (role !== 'OWNER' && (await isLastOwner(connection, orgId, userId))) return 'LAST_OWNER';
          const { rows } = await connection.query<OrgMember & { created: boolean }>(
            `WITH m AS (
               INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, $3)
               ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role
               RETURNING *, xmax = 0 AS created)
             SELECT ${MEMBER}, m.created FROM m JOIN users u ON u.id = m.user_id`,
            [orgId, userId, role],
          );
          const { created, ...member } = rows[0] as OrgMember & { created: boolean };
          return { member, created };
        });
      } catch (error) {
        if (violated(error, 'org_members_user_id_fkey')) return 'NO_SUCH_USER';
        throw error;
      }
    },

    removeMember: (orgId, userId, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await lockOrg(connection, orgId))) return 'NOT_A_MEMBER';
        if (await isLastOwner(connection, orgId, userId)) return 'LAST_OWNER';
        const { rows } = await connection.query<{ current: string; previous: string | null }>(
          `DELETE FROM api_keys WHERE org_id = $1 AND user_id = $2
           RETURNING encode(secret_hash, 'hex') AS current, encode(previous_hash, 'hex') AS previous`,
          [orgId, userId],
        );
        const { rowCount } = await connection.query('DELETE FROM org_members WHERE org_id = $1 AND user_id = $2', [orgId, userId]);
        if (rowCount === 0) return 'NOT_A_MEMBER';
        return rows.flatMap((secrets) => endingsOf(secrets, new Date()));
      }),
  };
}

/** Serialises changes to the members of one organisation: two owners who leave at once must not leave it without any. */
async function lockOrg(connection: Connection, orgId: string): Promise<boolean> {
  const { rowCount } = await connection.query('SELECT 1 FROM orgs WHERE id = $1 FOR UPDATE', [orgId]);
  return rowCount === 1;
}

async function isLastOwner(connection: Connection, orgId: string, userId: string): Promise<boolean> {
  const { rows } = await connection.query<{ userId: string }>(
    `SELECT user_id AS "userId" FROM org_members WHERE org_id = $1 AND role = 'OWNER'`,
    [orgId],
  );
  return rows.length === 1 && rows[0]?.userId === userId;
}
