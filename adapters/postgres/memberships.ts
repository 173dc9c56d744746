import { LRUCache } from 'lru-cache';
import type { Memberships } from '../../api/http/caller.js';
import type { KeyRevocations } from '../../api/http/key-revocations.js';
import type { Database } from './pool.js';

type Roles = ReadonlyMap<string, 'OWNER' | 'MEMBER'>;
interface Entry {
  roles: Promise<Roles>;
  usableUntil: number;
}

/** How long an answer is believed while news of its end would come, and while it may not: together with a query, below a second. */
const INFORMED_MS = 3_000;
const BLIND_MS = 800;
const MAX_USERS = 10_000;

/**
 * Memberships as this process remembers them. The end of one is told by the database (`news`); one that begins counts at once,
 * because a "no" is never believed from memory.
 */
export function createMemberships(pool: Database, news?: Pick<KeyRevocations, 'subscribe' | 'live'>): Memberships {
  const known = new LRUCache<string, Entry>({ max: MAX_USERS });
  news?.subscribe({
    ended: () => undefined,
    membership: ({ userId }) => known.delete(userId),
    interrupted: () => known.clear(),
  });

  const load = async (userId: string): Promise<Roles> => {
    const { rows } = await pool.query<{ id: string; role: 'OWNER' | 'MEMBER' }>({
      name: 'memberships_of',
      text: 'SELECT org_id AS id, role FROM org_members WHERE user_id = $1 ORDER BY created_at',
      values: [userId],
    });
    return new Map(rows.map(({ id, role }) => [id, role]));
  };
  const fresh = (userId: string): Promise<Roles> => {
    const entry = { roles: load(userId), usableUntil: Date.now() + (news?.live ? INFORMED_MS : BLIND_MS) };
    known.set(userId, entry);
    entry.roles.catch(() => known.get(userId) === entry && known.delete(userId));
    return entry.roles;
  };
  const remembered = (userId: string): Promise<Roles> | null => {
    const entry = known.get(userId);
    return entry && entry.usableUntil > Date.now() ? entry.roles : null;
  };
  /** The first of what is remembered and what is true that `fits` */
  const roleOf = async (userId: string, orgId: string, fits: (role: string | undefined) => boolean) => {
    const role = (await remembered(userId))?.get(orgId);
    return fits(role) ? role : (await fresh(userId)).get(orgId);
  };
  return {
    isMember: async (userId, orgId) => (await roleOf(userId, orgId, (role) => role !== undefined)) !== undefined,
    roleOf: async (userId, orgId) => (await roleOf(userId, orgId, (role) => role === 'OWNER')) ?? null,
    orgsOf: async (userId) => [...(await (remembered(userId) ?? fresh(userId))).keys()],
  };
}
