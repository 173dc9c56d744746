import type { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { memberQuery, orgMember, orgMemberList, orgParams, putMemberBody } from '../../contracts/http/auth.js';
import { actorOf, callerOf, isAdmin, requireBoundTo, type Caller } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { announce, requireLogin, type AuthContext } from './context.js';
import type { OrgMember, OrgRole } from './ports.js';

const PATH = '/api/v1/auth/orgs/:orgId/members';
const tag = 'organisations';
const base = { path: '/api/v1/auth/orgs/{orgId}/members', tag, params: orgParams };
const refusals = { 400: { description: 'Invalid' }, 401: { description: 'Not authenticated' }, 403: { description: 'Not allowed' } };
const managed = { ...refusals, 404: { description: 'No such organisation, user or member' }, 409: { description: 'The last owner stays' } };

export const memberOperations: Operation[] = [
  {
    ...base,
    method: 'get',
    summary: 'List the members; for members and ADMIN',
    responses: { 200: { description: 'The members', schema: orgMemberList }, ...refusals, 404: { description: 'No such organisation' } },
  },
  {
    ...base,
    method: 'post',
    summary: 'Add a member or change the role of one; for OWNER and ADMIN',
    body: putMemberBody,
    responses: {
      200: { description: 'Was a member already', schema: orgMember },
      201: { description: 'Added', schema: orgMember },
      ...managed,
    },
  },
  {
    ...base,
    method: 'delete',
    summary: 'Remove a member, and with it the member’s keys bound to the organisation; for OWNER and ADMIN',
    query: memberQuery,
    responses: { 204: { description: 'Removed' }, ...managed },
  },
];

export function memberRoutes(router: Router, { accounts, revocations, authenticator }: AuthContext): void {
  const { orgs } = accounts;

  /** Asks the store and not the token: a role that was taken away must not be used for the token's remaining hour. */
  const requireRole = async (caller: Caller, orgId: string, allowed: readonly OrgRole[]): Promise<void> => {
    requireBoundTo(caller, orgId);
    if (isAdmin(caller)) {
      if (!(await orgs.exists(orgId))) throw noSuchOrg();
      return;
    }
    const role = await orgs.roleOf(orgId, caller.userId);
    if (!role) throw new Problem('FORBIDDEN', 'You are not a member of this organisation');
    if (!allowed.includes(role)) throw new Problem('FORBIDDEN', 'Only an OWNER manages the members');
  };

  router.get(PATH, authenticator.required, async (req, res) => {
    const { orgId } = orgParams.parse(req.params);
    await requireRole(callerOf(res), orgId, ['OWNER', 'MEMBER']);
    res.json((await orgs.members(orgId)).map(shown));
  });

  router.post(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { orgId } = orgParams.parse(req.params);
    const { userId, role } = putMemberBody.parse(req.body);
    requireLogin(caller);
    await requireRole(caller, orgId, ['OWNER']);
    const outcome = await orgs.putMember(orgId, userId, role, actorOf(res));
    if (outcome === 'NO_SUCH_ORG') throw noSuchOrg();
    if (outcome === 'NO_SUCH_USER') throw new Problem('NOT_FOUND', 'There is no such user');
    if (outcome === 'LAST_OWNER') throw lastOwner();
    res.status(outcome.created ? 201 : 200).json(shown(outcome.member));
  });

  router.delete(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { orgId } = orgParams.parse(req.params);
    const { userId } = memberQuery.parse(req.query);
    requireLogin(caller);
    await requireRole(caller, orgId, ['OWNER']);
    const endings = await orgs.removeMember(orgId, userId, actorOf(res));
    if (endings === 'NOT_A_MEMBER') throw new Problem('NOT_FOUND', 'This user is not a member');
    if (endings === 'LAST_OWNER') throw lastOwner();
    await announce(revocations, endings);
    res.status(204).end();
  });
}

const shown = ({ orgId, userId, username, role, createdAt }: OrgMember) => ({
  orgId,
  userId,
  username,
  role,
  createdAt: createdAt.toISOString(),
});
const noSuchOrg = () => new Problem('NOT_FOUND', 'There is no such organisation');
const lastOwner = () => new Problem('CONFLICT', 'An organisation keeps at least one OWNER');
