import { Problem } from '../../contracts/errors.js';
import { isAdmin, requireMember, requireSelf, type Caller, type Memberships } from '../http/caller.js';

/** Whose something is: the user that made it, and the organisation it was made for (null: the user itself). */
export interface Ownership {
  userId: string;
  orgId: string | null;
}

/** What a request names; `null` is the same as absent. */
export interface AskedFor {
  userId?: string | undefined;
  orgId?: string | null | undefined;
}

/**
 * The pool that a call spends or fills: the user's, or that of the organisation asked for. A key that is bound to an organisation
 * spends its pool without being asked, and no other.
 *
 * @throws Problem FORBIDDEN
 */
export async function spendingOwner(memberships: Memberships, caller: Caller, asked: AskedFor & { userId: string }): Promise<Ownership> {
  const orgId = asked.orgId ?? caller.keyOrgId ?? null;
  if (asked.userId !== caller.userId && !isAdmin(caller)) throw new Problem('FORBIDDEN', 'You may act only on your own user id');
  if (orgId !== null) await requireMember(memberships, caller, orgId);
  return { userId: asked.userId, orgId };
}

/**
 * The organisation that a request is about; a bound key need not name its own.
 *
 * @throws Problem FORBIDDEN, INVALID_REQUEST when none is named
 */
export async function organisationOf(memberships: Memberships, caller: Caller, asked: string | undefined): Promise<string> {
  const orgId = asked ?? caller.keyOrgId;
  if (!orgId) {
    const errors = [{ field: 'orgId', message: 'is required' }];
    throw new Problem('INVALID_REQUEST', 'orgId: is required', { errors });
  }
  await requireMember(memberships, caller, orgId);
  return orgId;
}

/**
 * Whose records a list shows: those of one user, or those made for an organisation; there everybody's (`userId` null) for its OWNER
 * and an ADMIN, and only their own for other members.
 *
 * @throws Problem FORBIDDEN
 */
export async function listedOwner(
  memberships: Memberships,
  caller: Caller,
  asked: AskedFor,
): Promise<{ userId: string | null; orgId: string | null }> {
  const orgId = asked.orgId ?? caller.keyOrgId ?? null;
  if (orgId === null) {
    const userId = asked.userId ?? caller.userId;
    requireSelf(caller, userId);
    return { userId, orgId };
  }
  await requireMember(memberships, caller, orgId);
  if (isAdmin(caller) || (await memberships.roleOf(caller.userId, orgId)) === 'OWNER') return { userId: asked.userId ?? null, orgId };
  const userId = asked.userId ?? (asked.orgId ? null : caller.userId);
  if (userId !== caller.userId) throw new Problem('FORBIDDEN', 'Only an OWNER sees what other members did for the organisation');
  return { userId, orgId };
}

/**
 * How much of a record a caller sees. ALL: it made the call. EXPLANATION: what was decided and why, without what was said; for the
 * OWNER of the organisation that paid, and for an ADMIN. NONE: not told apart from what does not exist.
 */
export type Sight = 'ALL' | 'EXPLANATION' | 'NONE';

export async function sightOf(memberships: Memberships, caller: Caller, { userId, orgId }: Ownership): Promise<Sight> {
  if (caller.keyOrgId && caller.keyOrgId !== orgId) return 'NONE';
  if (caller.userId === userId) return 'ALL';
  if (isAdmin(caller)) return 'EXPLANATION';
  return orgId !== null && (await memberships.roleOf(caller.userId, orgId)) === 'OWNER' ? 'EXPLANATION' : 'NONE';
}

/** Which usage a caller sees: its own and its organisations', through a bound key that organisation's, an ADMIN all. */
export async function usageVisibleTo(
  memberships: Memberships,
  caller: Caller,
): Promise<'all' | { userId: string | null; orgIds: readonly string[] }> {
  if (isAdmin(caller)) return 'all';
  const orgIds = await memberships.orgsOf(caller.userId);
  if (caller.keyOrgId) return { userId: null, orgIds: orgIds.filter((id) => id === caller.keyOrgId) };
  return { userId: caller.userId, orgIds };
}
