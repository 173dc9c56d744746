import type { AccountBounds, Org, OrgMember, OrgRole, Orgs } from '../../api/auth/ports.js';
import { actAs, inNameOf } from './admin-log.js';
import { endingsOf } from './api-keys.js';
import { lockOrg, lockUser, members, memberships, ownedOrgs } from './bounds.js';
import { inTransaction, type Connection, type Database } from './pool.js';

const MEMBER = `m.org_id AS "orgId", m.user_id AS "userId", u.username, m.role, m.created_at AS "createdAt"`;

export function createOrgs(pool: Database, bounds: AccountBounds): Orgs {
  return {
    create: (id, name, ownerId, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await lockUser(connection, ownerId))) return 'NO_SUCH_USER';
        const reached =
          (await ownedOrgs(connection, ownerId, bounds.orgsPerUser)) ?? (await memberships(connection, ownerId, bounds.membershipsPerUser));
        if (reached) return reached;
        const { rows } = await connection.query<Org>(
          'INSERT INTO orgs (id, name, created_by) VALUES ($1, $2, $3) RETURNING id, name, created_at AS "createdAt"',
          [id, name, ownerId],
        );
        await connection.query(`INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, 'OWNER')`, [id, ownerId]);
        return rows[0] as Org;
      }),

    async exists(id) {
      const { rowCount } = await pool.query('SELECT 1 FROM orgs WHERE id = $1', [id]);
      return rowCount === 1;
    },

    async of(userId, { limit, after }, only = null) {
      const { rows } = await pool.query<Org & { role: OrgRole }>(
        `SELECT o.id, o.name, o.created_at AS "createdAt", m.role FROM org_members m JOIN orgs o ON o.id = m.org_id
          WHERE m.user_id = $1 AND ($2::uuid IS NULL OR o.id > $2) AND ($4::uuid IS NULL OR o.id = $4) ORDER BY o.id LIMIT $3`,
        [userId, after, limit, only],
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

    async members(orgId, { limit, after }) {
      const { rows } = await pool.query<OrgMember>(
        `SELECT ${MEMBER} FROM org_members m JOIN users u ON u.id = m.user_id
          WHERE m.org_id = $1 AND ($2::uuid IS NULL OR m.user_id > $2) ORDER BY m.user_id LIMIT $3`,
        [orgId, after, limit],
      );
      return rows;
    },

    addMember: (orgId, userId, role, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await lockOrg(connection, orgId))) return 'NO_SUCH_ORG';
        if (!(await lockUser(connection, userId))) return 'NO_SUCH_USER';
        return (await joinOrg(connection, orgId, userId, role, bounds)) ?? memberOf(connection, orgId, userId);
      }),

    changeRole: (orgId, userId, role, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await lockOrg(connection, orgId))) return 'NO_SUCH_ORG';
        if (role !== 'OWNER' && (await isLastOwner(connection, orgId, userId))) return 'LAST_OWNER';
        const { rowCount } = await connection.query('UPDATE org_members SET role = $3 WHERE org_id = $1 AND user_id = $2', [
          orgId,
          userId,
          role,
        ]);
        return rowCount === 0 ? 'NOT_A_MEMBER' : memberOf(connection, orgId, userId);
      }),

    removeMember: (orgId, userId, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await lockOrg(connection, orgId))) return 'NOT_A_MEMBER';
        if (await isLastOwner(connection, orgId, userId)) return 'LAST_OWNER';
        const endings = await endBoundKeys(connection, orgId, userId);
        const { rowCount } = await connection.query('DELETE FROM org_members WHERE org_id = $1 AND user_id = $2', [orgId, userId]);
        return rowCount === 0 ? 'NOT_A_MEMBER' : endings;
      }),

    remove: (orgId, by) =>
      inTransaction(pool, async (connection) => {
        await actAs(connection, by);
        // Before anything else: a purchase that is about to allocate waits here, or is seen below (migrations/0005_consent.sql).
        await connection.query('SELECT pg_advisory_xact_lock(hashtextextended($1::text, 5))', [orgId]);
        if (!(await lockOrg(connection, orgId))) return 'NO_SUCH_ORG';
        const owned = await ownedBy(connection, orgId);
        if (owned.length > 0) return { owned };
        const endings = await endBoundKeys(connection, orgId, null);
        await connection.query('INSERT INTO deleted_orgs (org_id) VALUES ($1)', [orgId]);
        await connection.query('DELETE FROM orgs WHERE id = $1', [orgId]);
        return { endings };
      }),
  };
}

/** Makes a member, or an OWNER of one that is a MEMBER. Under the locks of both; what is refused, or null. */
export async function joinOrg(connection: Connection, orgId: string, userId: string, role: OrgRole, bounds: AccountBounds) {
  const { rows } = await connection.query<{ role: OrgRole }>('SELECT role FROM org_members WHERE org_id = $1 AND user_id = $2', [
    orgId,
    userId,
  ]);
  const current = rows[0]?.role;
  if (current === 'OWNER' || current === role) return null;
  const reached =
    (role === 'OWNER' ? await ownedOrgs(connection, userId, bounds.orgsPerUser) : null) ??
    (current ? null : await members(connection, orgId, bounds.membersPerOrg)) ??
    (current ? null : await memberships(connection, userId, bounds.membershipsPerUser));
  if (reached) return reached;
  await connection.query(
    `INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, $3)
     ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role`,
    [orgId, userId, role],
  );
  return null;
}

async function memberOf(connection: Connection, orgId: string, userId: string): Promise<OrgMember> {
  const { rows } = await connection.query<OrgMember>(
    `SELECT ${MEMBER} FROM org_members m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 AND m.user_id = $2`,
    [orgId, userId],
  );
  return rows[0] as OrgMember;
}

/** Keys bound to the organisation, of one member or of all. */
async function endBoundKeys(connection: Connection, orgId: string, userId: string | null) {
  const { rows } = await connection.query<{ current: string; previous: string | null }>(
    `DELETE FROM api_keys WHERE org_id = $1 AND ($2::uuid IS NULL OR user_id = $2)
     RETURNING encode(secret_hash, 'hex') AS current, encode(previous_hash, 'hex') AS previous`,
    [orgId, userId],
  );
  return rows.flatMap((secrets) => endingsOf(secrets, new Date()));
}

/** What an organisation owns, in words; empty: nothing that would be lost with it. */
async function ownedBy(connection: Connection, orgId: string): Promise<string[]> {
  const pools = await connection.query<{ provider: string; remaining: number; reserved: number; pending: number }>(
    `SELECT provider, allowance_remaining + purchased_remaining AS remaining, reserved, pending FROM pools
      WHERE owner_kind = 'org' AND owner_id = $1 ORDER BY provider`,
    [orgId],
  );
  const purchases = await connection.query<{ open: number }>(
    `SELECT count(*) AS open FROM token_purchase_saga WHERE org_id = $1 AND status NOT IN ('COMPLETED', 'FAILED')`,
    [orgId],
  );
  const open = purchases.rows[0]?.open ?? 0;
  return [
    ...pools.rows.flatMap(({ provider, remaining, reserved, pending }) => [
      ...(remaining > 0 ? [`${remaining} ${provider} tokens`] : []),
      ...(reserved > 0 ? [`${reserved} ${provider} tokens held by calls`] : []),
      ...(pending > 0 ? [`${pending} ${provider} tokens that are being bought`] : []),
    ]),
    ...(open > 0 ? [`${open} open ${open === 1 ? 'purchase' : 'purchases'}`] : []),
  ];
}

async function isLastOwner(connection: Connection, orgId: string, userId: string): Promise<boolean> {
  const { rows } = await connection.query<{ userId: string }>(
    `SELECT user_id AS "userId" FROM org_members WHERE org_id = $1 AND role = 'OWNER'`,
    [orgId],
  );
  return rows.length === 1 && rows[0]?.userId === userId;
}
