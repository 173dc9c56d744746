import type { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { listQuery, org, orgParams } from '../../contracts/http/auth.js';
import { isUuid } from '../../contracts/http/common.js';
import {
  createdInvitation,
  createInvitationBody,
  invitationParams,
  invitationRef,
  myInvitationList,
  orgInvitationList,
} from '../../contracts/http/invitations.js';
import { actorOf, callerOf, requireSelf } from '../http/caller.js';
import { hashSecret } from '../http/key-cache.js';
import type { Operation } from '../http/openapi.js';
import { sendPage, wanted } from '../http/pages.js';
import { isLimit, limitProblem, requireLogin, requireRole, type AuthContext } from './context.js';
import { invitationShown, invite } from './invite.js';
import type { InvitationRef } from './ports.js';

const OF_ORG = '/api/v1/auth/orgs/{orgId}/invitations';
const MINE = '/api/v1/auth/invitations';
const tag = 'organisations';
const unauthenticated = { 401: { description: 'Not authenticated' } };
const refusals = { 400: { description: 'Invalid' }, ...unauthenticated, 403: { description: 'Not an OWNER' } };
const answered = {
  ...unauthenticated,
  404: { description: 'There is no such invitation for you' },
  409: { description: 'It is not open any more, or there are as many as there may be (LIMIT_REACHED)' },
};

export const invitationOperations: Operation[] = [
  {
    method: 'post',
    path: OF_ORG,
    summary: 'Invite a user by id or name, or whoever has the link; for OWNER and ADMIN',
    tag,
    params: orgParams,
    body: createInvitationBody,
    responses: {
      200: { description: 'The person was invited already; this invitation has the role and end asked for now', schema: createdInvitation },
      201: { description: 'Invited. The link is shown this once', schema: createdInvitation },
      ...refusals,
      404: { description: 'No such organisation or user id' },
      409: { description: 'A member already, or too many open invitations (LIMIT_REACHED)' },
    },
  },
  {
    method: 'get',
    path: OF_ORG,
    summary: 'Open invitations of an organisation; for OWNER and ADMIN. A next page is in the header Link',
    tag,
    params: orgParams,
    query: listQuery,
    responses: { 200: { description: 'As they were made, without their links', schema: orgInvitationList }, ...refusals },
  },
  {
    method: 'delete',
    path: `${OF_ORG}/{id}`,
    summary: 'Revoke an invitation; for OWNER and ADMIN',
    tag,
    params: invitationParams,
    responses: {
      204: { description: 'Revoked' },
      ...refusals,
      404: { description: 'No such invitation' },
      409: { description: 'It was accepted' },
    },
  },
  {
    method: 'get',
    path: MINE,
    summary: 'Open invitations of the caller. A next page is in the header Link',
    tag,
    query: listQuery,
    responses: { 200: { description: 'Oldest first', schema: myInvitationList }, ...unauthenticated },
  },
  {
    method: 'post',
    path: `${MINE}/{ref}/accept`,
    summary: 'Become a member; by the invitation’s id or the token of its link',
    tag,
    params: invitationRef,
    responses: { 200: { description: 'The membership, also when accepted before', schema: org }, ...answered },
  },
  {
    method: 'post',
    path: `${MINE}/{ref}/decline`,
    summary: 'Decline an invitation; by its id or the token of its link',
    tag,
    params: invitationRef,
    responses: { 204: { description: 'Declined, also when declined before' }, ...answered },
  },
];

export function invitationRoutes(router: Router, context: AuthContext): void {
  const { accounts, authenticator } = context;
  const { invitations } = accounts;
  const ofOrg = OF_ORG.replace('{orgId}', ':orgId');

  router.post(ofOrg, authenticator.required, async (req, res) => {
    const { orgId } = orgParams.parse(req.params);
    const body = createInvitationBody.parse(req.body ?? {});
    requireLogin(callerOf(res));
    await requireRole(accounts, callerOf(res), orgId, ['OWNER']);
    const { created, answer } = await invite(context, orgId, body, actorOf(res));
    res.status(created ? 201 : 200).json(answer);
  });

  router.get(ofOrg, authenticator.required, async (req, res) => {
    const { orgId } = orgParams.parse(req.params);
    const page = listQuery.parse(req.query);
    await requireRole(accounts, callerOf(res), orgId, ['OWNER']);
    const rows = await invitations.ofOrg(orgId, wanted(page));
    sendPage(
      req,
      res,
      rows,
      page.limit,
      ({ id }) => id,
      (row) => invitationShown(row),
    );
  });

  router.delete(`${ofOrg}/:id`, authenticator.required, async (req, res) => {
    const { orgId, id } = invitationParams.parse(req.params);
    requireLogin(callerOf(res));
    await requireRole(accounts, callerOf(res), orgId, ['OWNER']);
    const outcome = await invitations.revoke(orgId, id, actorOf(res));
    if (outcome === 'NOT_FOUND') throw noSuchInvitation();
    if (outcome === 'ENDED') throw new Problem('CONFLICT', 'The invitation was accepted; remove the member instead');
    res.status(204).end();
  });

  router.get(MINE, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const page = listQuery.parse(req.query);
    requireSelf(caller, caller.userId);
    const rows = await invitations.ofUser(caller.userId, wanted(page));
    sendPage(
      req,
      res,
      rows,
      page.limit,
      ({ id }) => id,
      ({ id, orgId, orgName, role, createdAt, expiresAt }) => ({
        id,
        orgId,
        orgName,
        role,
        createdAt: createdAt.toISOString(),
        expiresAt: expiresAt.toISOString(),
      }),
    );
  });

  router.post(`${MINE}/:ref/accept`, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { ref } = invitationRef.parse(req.params);
    requireLogin(caller);
    const outcome = await invitations.accept(refOf(ref), caller.userId, actorOf(res));
    if (outcome === 'NOT_FOUND') throw noSuchInvitation();
    if (outcome === 'ENDED') throw new Problem('CONFLICT', 'The invitation is not open any more');
    if (isLimit(outcome)) throw limitProblem(outcome);
    res.json({ orgId: outcome.id, name: outcome.name, role: outcome.role, createdAt: outcome.createdAt.toISOString() });
  });

  router.post(`${MINE}/:ref/decline`, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { ref } = invitationRef.parse(req.params);
    requireLogin(caller);
    const outcome = await invitations.decline(refOf(ref), caller.userId, actorOf(res));
    if (outcome === 'NOT_FOUND') throw noSuchInvitation();
    if (outcome === 'ENDED') throw new Problem('CONFLICT', 'The invitation was accepted; leave the organisation instead');
    res.status(204).end();
  });
}

const refOf = (ref: string): InvitationRef => (isUuid(ref) ? { id: ref.toLowerCase() } : { tokenHash: hashSecret(ref) });
const noSuchInvitation = () => new Problem('NOT_FOUND', 'There is no such invitation for you');
