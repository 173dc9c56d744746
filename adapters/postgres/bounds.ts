import type { AccountBounds, LimitReached } from '../../api/auth/ports.js';
import type { Connection } from './pool.js';

export const DEFAULT_BOUNDS: AccountBounds = {
  orgsPerUser: 20,
  membershipsPerUser: 100,
  keysPerUser: 100,
  membersPerOrg: 1_000,
  invitationsPerUser: 20,
  invitationsPerOrg: 100,
};

/**
 * What one account, organisation or person may have of something. Counted in the transaction of the write, after a lock that
 * everybody takes who writes one of them (`lockUser`, `lockOrg`, `lockInvitee`): else fifty requests at once would all find the last place.
 */
export async function limitReached(
  connection: Connection,
  policy: string,
  limit: number,
  from: string,
  values: readonly unknown[],
): Promise<LimitReached | null> {
  const { rows } = await connection.query<{ used: number }>(`SELECT count(*) AS used FROM ${from}`, [...values]);
  const used = rows[0]?.used ?? 0;
  return used < limit ? null : { policy, limit, used };
}

/** False: there is no such account. Keys that refer to it are checked meanwhile. */
export async function lockUser(connection: Connection, userId: string): Promise<boolean> {
  const { rowCount } = await connection.query('SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]);
  return rowCount === 1;
}

/** Also serialises changes to the members: two owners who leave at once must not leave an organisation without any. */
export async function lockOrg(connection: Connection, orgId: string): Promise<boolean> {
  const { rowCount } = await connection.query('SELECT 1 FROM orgs WHERE id = $1 FOR UPDATE', [orgId]);
  return rowCount === 1;
}

/** By id, or by a name that nobody has: one that exists must not be told apart by having a limit of its own. */
export async function lockInvitee(connection: Connection, invitee: string): Promise<void> {
  await connection.query(`SELECT pg_advisory_xact_lock(hashtextextended('invitee:' || $1, 0))`, [invitee]);
}

export const ownedOrgs = (connection: Connection, userId: string, limit: number) =>
  limitReached(
    connection,
    'organisations',
    limit,
    `orgs o WHERE o.created_by = $1 OR EXISTS (SELECT 1 FROM org_members m WHERE m.org_id = o.id AND m.user_id = $1 AND m.role = 'OWNER')`,
    [userId],
  );

export const memberships = (connection: Connection, userId: string, limit: number) =>
  limitReached(connection, 'memberships', limit, 'org_members WHERE user_id = $1', [userId]);

export const members = (connection: Connection, orgId: string, limit: number) =>
  limitReached(connection, 'members', limit, 'org_members WHERE org_id = $1', [orgId]);
