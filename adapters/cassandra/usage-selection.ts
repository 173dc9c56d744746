import type { UsageFilter, Visibility } from '../../api/analytics/ports.js';
import { userKey, type UserKey } from './usage-records.js';

/**
 * A part of the events of a provider that can be read by itself: all, those that a user made, or those that were made for an
 * organisation; and which of them count.
 */
export interface Selection {
  source: { of: 'all' } | { of: 'user'; id: string; key: UserKey } | { of: 'organisation'; id: string };
  /** Whether events of this organisation and tag can count, whoever made them */
  acceptsGroup(orgId: string | null, tag: string | null): boolean;
  /** Whether events of this user count, given that those of the group can */
  acceptsUser(user: UserKey, orgId: string | null): boolean;
  /** Everything of the source counts: its totals need no look at the users */
  entire: boolean;
}

/** Disjoint selections of what a caller may see and a filter asks for. */
export function selectionsOf(filter: Omit<UsageFilter, 'provider'>, visibility: Visibility): Selection[] {
  const { userId, orgId, tag } = filter;
  const orgIds = visibility === 'all' ? null : new Set(visibility.orgIds);
  const self = visibility === 'all' || visibility.userId === null ? null : userKey(visibility.userId);
  const wanted = userId === undefined ? null : userKey(userId);
  const selection = (source: Selection['source'], except: UserKey | null = null): Selection => ({
    source,
    acceptsGroup: (org, tagged) => (orgId === undefined || org === orgId) && (tag === undefined || tagged === tag),
    acceptsUser: (user, org) =>
      user !== except &&
      (wanted === null || user === wanted) &&
      (orgIds === null || (self !== null && user === self) || (org !== null && orgIds.has(org))),
    entire: source.of === 'all' && tag === undefined,
  });
  if (userId !== undefined) return [selection({ of: 'user', id: userId, key: userKey(userId) })];
  if (orgId !== undefined) return [selection({ of: 'organisation', id: orgId })];
  if (visibility === 'all') return [selection({ of: 'all' })];
  return [
    ...(visibility.userId === null || self === null ? [] : [selection({ of: 'user', id: visibility.userId, key: self })]),
    // What it made itself for an organisation is among its own already.
    ...[...new Set(visibility.orgIds)].map((id) => selection({ of: 'organisation', id }, self)),
  ];
}
