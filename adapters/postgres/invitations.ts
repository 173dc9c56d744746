import type { AccountBounds, Invitation, InvitationRef, Invitations, Invitee, Org, OrgRole } from '../../api/auth/ports.js';
import { inNameOf } from './admin-log.js';
import { limitReached, lockInvitee, lockOrg, lockUser } from './bounds.js';
import { joinOrg } from './orgs.js';
import type { Connection, Database } from './pool.js';

/** Besides its state and its time: whoever invites must still be somebody who may. Who lost that right left no way in behind. */
const OPEN = `(i.state = 'OPEN' AND i.expires_at > now() AND EXISTS (
  SELECT 1 FROM users b WHERE b.id = i.invited_by AND b.disabled_at IS NULL AND (
    EXISTS (SELECT 1 FROM org_members m WHERE m.org_id = i.org_id AND m.user_id = b.id AND m.role = 'OWNER')
    OR EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = b.id AND r.role = 'ADMIN'))))`;

const COLUMNS = `i.id, i.org_id AS "orgId", o.name AS "orgName", i.role, i.user_id AS "userId", i.username, i.created_at AS "createdAt",
  i.expires_at AS "expiresAt"`;
const FROM = 'org_invitations i JOIN orgs o ON o.id = i.org_id';
const bytes = (hex: string) => Buffer.from(hex, 'hex');

/** One inviter may fill so much of what a person may have open, so that it keeps out nobody else. */
const INVITER_SHARE = 0.25;

export function createInvitations(pool: Database, bounds: AccountBounds): Invitations {
  return {
    create: (made, by) =>
      inNameOf(pool, by, async (connection) => {
        if (!(await lockOrg(connection, made.orgId))) return 'NO_SUCH_ORG';
        const userId = await userOf(connection, made.invitee);
        if (userId === null && made.invitee && 'userId' in made.invitee) return 'NO_SUCH_USER';
        if (userId !== null && (await isMember(connection, made.orgId, userId))) return 'IS_MEMBER';
        const nameKey = made.invitee && 'nameKey' in made.invitee ? made.invitee.nameKey : null;
        const person = userId ?? nameKey;
        if (person !== null) {
          await lockInvitee(connection, person);
          const before = await renewed(connection, made, person);
          if (before) return { invitation: before, created: false };
        }
        const reached =
          (await limitReached(connection, 'open-invitations', bounds.invitationsPerOrg, `${FROM} WHERE i.org_id = $1 AND ${OPEN}`, [
            made.orgId,
          ])) ?? (person === null ? null : await personIsFull(connection, person, by.userId, bounds.invitationsPerUser));
        if (reached) return reached;
        await connection.query(
          `INSERT INTO org_invitations (id, org_id, role, invited_by, user_id, username, username_key, token_hash, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
          [
            made.id,
            made.orgId,
            made.role,
            by.userId,
            userId,
            made.invitee && 'username' in made.invitee ? made.invitee.username : null,
            nameKey,
            bytes(made.tokenHash),
            made.expiresAt,
          ],
        );
        return { invitation: await one(connection, made.id), created: true };
      }),

    async ofUser(userId, { limit, after }) {
      const { rows } = await pool.query<Invitation>(
        `SELECT ${COLUMNS} FROM ${FROM} WHERE i.user_id = $1 AND ${OPEN} AND ($2::uuid IS NULL OR i.id > $2) ORDER BY i.id LIMIT $3`,
        [userId, after, limit],
      );
      return rows;
    },

    async ofOrg(orgId, { limit, after }) {
      const { rows } = await pool.query<Invitation>(
        `SELECT ${COLUMNS} FROM ${FROM} WHERE i.org_id = $1 AND ${OPEN} AND ($2::uuid IS NULL OR i.id > $2) ORDER BY i.id LIMIT $3`,
        [orgId, after, limit],
      );
      return rows;
    },

    revoke: (orgId, id, by) =>
      inNameOf(pool, by, async (connection) => {
        const { rows } = await connection.query<{ state: string }>(
          'SELECT state FROM org_invitations WHERE org_id = $1 AND id = $2 FOR UPDATE',
          [orgId, id],
        );
        if (!rows[0]) return 'NOT_FOUND';
        if (rows[0].state === 'ACCEPTED') return 'ENDED';
        if (rows[0].state === 'OPEN') await end(connection, id, 'REVOKED', by.userId);
        return 'OK';
      }),

    accept: (ref, userId, by) =>
      inNameOf(pool, by, async (connection) => {
        const found = await lockedFor(connection, ref, userId);
        if (!found) return 'NOT_FOUND';
        const accepted = found.state === 'ACCEPTED' && found.endedBy === userId;
        if (!accepted) {
          if (!found.open) return 'ENDED';
          if (!(await lockUser(connection, userId))) return 'NOT_FOUND';
          const reached = await joinOrg(connection, found.orgId, userId, found.role, bounds);
          if (reached) return reached;
          await end(connection, found.id, 'ACCEPTED', userId);
        }
        const { rows } = await connection.query<Org & { role: OrgRole }>(
          `SELECT o.id, o.name, m.created_at AS "createdAt", m.role FROM org_members m JOIN orgs o ON o.id = m.org_id
            WHERE m.org_id = $1 AND m.user_id = $2`,
          [found.orgId, userId],
        );
        return rows[0] ?? 'ENDED';
      }),

    decline: (ref, userId, by) =>
      inNameOf(pool, by, async (connection) => {
        const found = await lockedFor(connection, ref, userId);
        if (!found) return 'NOT_FOUND';
        if (found.state === 'ACCEPTED') return 'ENDED';
        if (found.state === 'OPEN') await end(connection, found.id, 'DECLINED', userId);
        return 'OK';
      }),

    async purge() {
      await pool.query(`DELETE FROM org_invitations WHERE expires_at < now() - interval '30 days'`);
    },
  };
}

async function userOf(connection: Connection, invitee: Invitee | null): Promise<string | null> {
  if (invitee === null) return null;
  const [column, value] = 'userId' in invitee ? ['id', invitee.userId] : ['username_key', invitee.nameKey];
  const { rows } = await connection.query<{ id: string }>(`SELECT id FROM users WHERE ${column} = $1`, [value]);
  return rows[0]?.id ?? null;
}

async function isMember(connection: Connection, orgId: string, userId: string): Promise<boolean> {
  const { rowCount } = await connection.query('SELECT 1 FROM org_members WHERE org_id = $1 AND user_id = $2', [orgId, userId]);
  return rowCount === 1;
}

const PERSON = '(i.user_id::text = $1 OR (i.user_id IS NULL AND i.username_key = $1))';

/** The open invitation that this person has already, with the role and end asked for now; one that no longer holds is ended. */
async function renewed(
  connection: Connection,
  made: { orgId: string; role: OrgRole; expiresAt: Date },
  person: string,
): Promise<Invitation | null> {
  const { rows } = await connection.query<{ id: string; open: boolean }>(
    `SELECT i.id, ${OPEN} AS open FROM org_invitations i WHERE ${PERSON} AND i.org_id = $2 AND i.state = 'OPEN' FOR UPDATE OF i`,
    [person, made.orgId],
  );
  const [found] = rows;
  if (!found) return null;
  if (!found.open) {
    await end(connection, found.id, 'REVOKED', null);
    return null;
  }
  await connection.query('UPDATE org_invitations SET role = $2, expires_at = $3 WHERE id = $1', [found.id, made.role, made.expiresAt]);
  return one(connection, found.id);
}

async function personIsFull(connection: Connection, person: string, inviter: string, limit: number) {
  const share = Math.max(1, Math.floor(limit * INVITER_SHARE));
  return (
    (await limitReached(connection, 'open-invitations-of-person', limit, `${FROM} WHERE ${PERSON} AND ${OPEN}`, [person])) ??
    (await limitReached(
      connection,
      'open-invitations-of-person-by-you',
      share,
      `${FROM} WHERE ${PERSON} AND ${OPEN} AND i.invited_by = $2`,
      [person, inviter],
    ))
  );
}

async function one(connection: Connection, id: string): Promise<Invitation> {
  const { rows } = await connection.query<Invitation>(`SELECT ${COLUMNS} FROM ${FROM} WHERE i.id = $1`, [id]);
  return rows[0] as Invitation;
}

interface Found {
  id: string;
  orgId: string;
  role: OrgRole;
  state: 'OPEN' | 'ACCEPTED' | 'DECLINED' | 'REVOKED';
  endedBy: string | null;
  open: boolean;
}

/** The invitation, with its organisation locked; null unless it is this user's, or for whoever has its token. */
async function lockedFor(connection: Connection, ref: InvitationRef, userId: string): Promise<Found | null> {
  const mine =
    'id' in ref ? 'i.id = $1 AND i.user_id = $2' : 'i.token_hash = $1 AND (i.user_id = $2 OR (i.user_id IS NULL AND i.username IS NULL))';
  const values = ['id' in ref ? ref.id : bytes(ref.tokenHash), userId];
  const { rows: before } = await connection.query<{ orgId: string }>(
    `SELECT i.org_id AS "orgId" FROM org_invitations i WHERE ${mine}`,
    values,
  );
  if (!before[0] || !(await lockOrg(connection, before[0].orgId))) return null;
  const { rows } = await connection.query<Found>(
    `SELECT i.id, i.org_id AS "orgId", i.role, i.state, i.ended_by AS "endedBy", ${OPEN} AS open FROM org_invitations i
      WHERE ${mine} FOR UPDATE OF i`,
    values,
  );
  return rows[0] ?? null;
}

async function end(connection: Connection, id: string, state: 'ACCEPTED' | 'DECLINED' | 'REVOKED', by: string | null): Promise<void> {
  await connection.query('UPDATE org_invitations SET state = $2, ended_by = $3, ended_at = now() WHERE id = $1', [id, state, by]);
}
