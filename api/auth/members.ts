import type { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { listQuery, memberQuery, orgMember, orgMemberList, orgParams, putMemberBody } from '../../contracts/http/auth.js';
import { createdInvitation } from '../../contracts/http/invitations.js';
import { usernameKey } from '../../domain/accounts/username.js';
import { actorOf, callerOf, isAdmin } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { sendPage, wanted } from '../http/pages.js';
import { announce, isLimit, limitProblem, noSuchOrg, requireLogin, requireRole, type AuthContext } from './context.js';
import { invite } from './invite.js';
import type { OrgMember } from './ports.js';

const PATH = '/api/v1/auth/orgs/:orgId/members';
const tag = 'organisations';
const base = { path: '/api/v1/auth/orgs/{orgId}/members', tag, params: orgParams };
const refusals = { 400: { description: 'Invalid' }, 401: { description: 'Not authenticated' }, 403: { description: 'Not allowed' } };
const managed = {
  ...refusals,
  404: { description: 'No such organisation, user or member' },
  409: { description: 'The last owner stays, or there are as many as there may be (LIMIT_REACHED)' },
};

export const memberOperations: Operation[] = [
  {
    ...base,
    method: 'get',
    summary: 'List the members; for members and ADMIN. A next page is in the header Link',
    query: listQuery,
    responses: { 200: { description: 'The members', schema: orgMemberList }, ...refusals, 404: { description: 'No such organisation' } },
  },
  {
    ...base,
    method: 'post',
    summary: 'Invite somebody (OWNER), add a member (ADMIN), or change the role of one',
    body: putMemberBody,
    responses: {
      200: { description: 'Was a member already and has this role now', schema: orgMember },
      201: { description: 'Added by an ADMIN', schema: orgMember },
      202: { description: 'Invited by an OWNER: a member from when it is accepted', schema: createdInvitation },
      ...managed,
    },
  },
  {
    ...base,
    method: 'delete',
    summary: 'Leave (userId=me), or remove a member as OWNER or ADMIN; the member’s keys bound to the organisation end with it',
    query: memberQuery,
    responses: { 204: { description: 'Removed' }, ...managed },
  },
];

export function memberRoutes(router: Router, context: AuthContext): void {
  const { accounts, revocations, authenticator } = context;
  const { orgs, users } = accounts;

  router.get(PATH, authenticator.required, async (req, res) => {
    const { orgId } = orgParams.parse(req.params);
    const page = listQuery.parse(req.query);
    await requireRole(accounts, callerOf(res), orgId, ['OWNER', 'MEMBER']);
    sendPage(req, res, await orgs.members(orgId, wanted(page)), page.limit, ({ userId }) => userId, shown);
  });

  router.post(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const by = actorOf(res);
    const { orgId } = orgParams.parse(req.params);
    const { username, role, ...body } = putMemberBody.parse(req.body);
    requireLogin(caller);
    await requireRole(accounts, caller, orgId, ['OWNER']);
    const userId = body.userId ?? (await users.byUsernameKey(usernameKey(username ?? '')))?.id;
    const changed = userId === undefined ? 'NOT_A_MEMBER' : await orgs.changeRole(orgId, userId, role, by);
    if (changed === 'NO_SUCH_ORG') throw noSuchOrg();
    if (changed === 'LAST_OWNER') throw lastOwner();
    if (changed !== 'NOT_A_MEMBER') return void res.json(shown(changed));
    if (!isAdmin(caller)) return void res.status(202).json((await invite(context, orgId, { ...body, username, role }, by)).answer);
    const added = userId === undefined ? 'NO_SUCH_USER' : await orgs.addMember(orgId, userId, role, by);
    if (added === 'NO_SUCH_ORG') throw noSuchOrg();
    if (added === 'NO_SUCH_USER') throw new Problem('NOT_FOUND', 'There is no such user');
    if (isLimit(added)) throw limitProblem(added);
    res.status(201).json(shown(added));
  });

  router.delete(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { orgId } = orgParams.parse(req.params);
    const asked = memberQuery.parse(req.query).userId;
    const userId = asked === 'me' ? caller.userId : asked;
    requireLogin(caller);
    // Whoever is in may leave; an ADMIN may name itself without being a member, and finds that it is none.
    await requireRole(accounts, caller, orgId, userId === caller.userId ? ['OWNER', 'MEMBER'] : ['OWNER']);
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
const lastOwner = () =>
  new Problem('CONFLICT', 'An organisation keeps at least one OWNER: make another member OWNER first, or delete the organisation');
