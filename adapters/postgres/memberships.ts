import { LRUCache } from 'lru-cache';
import type { Memberships } from '../../api/http/caller.js';
import type { Database } from './pool.js';

/**
 * A member who was removed may still count as one for `maxAgeMs` (at most 5 s); one who was added counts at once,
 * because a "no" is never believed from the cache.
 */
export function createMemberships(pool: Database, maxAgeMs = 3_000): Memberships {
  const load = async (userId: string): Promise<ReadonlySet<string>> => {
    const { rows } = await pool.query<{ id: string }>('SELECT org_id AS id FROM org_members WHERE user_id = $1 ORDER BY created_at', [
      userId,
    ]);
    return new Set(rows.map((row) => row.id));
  };
  const cache = new LRUCache<string, ReadonlySet<string>>({ max: 10_000, ttl: Math.min(maxAgeMs, 5_000), fetchMethod: load });
  const orgs = async (userId: string, forceRefresh = false) => (await cache.fetch(userId, { forceRefresh })) ?? load(userId);
  return {
    async isMember(userId, orgId) {
      return (await orgs(userId)).has(orgId) || (await orgs(userId, true)).has(orgId);
    },
    orgsOf: async (userId) => [...(await orgs(userId))],
  };
}
