import type { Router } from 'express';
import { v7 } from 'uuid';
import { Problem } from '../../contracts/errors.js';
import { createOrgBody, listQuery, org, orgList, orgParams } from '../../contracts/http/auth.js';
import { actorOf, callerOf } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { sendPage, wanted } from '../http/pages.js';
import { announce, isLimit, limitProblem, noSuchOrg, requireLogin, requireRole, type AuthContext } from './context.js';

const PATH = '/api/v1/auth/orgs';
const tag = 'organisations';
const unauthenticated = { 401: { description: 'Not authenticated' } };

export const orgOperations: Operation[] = [
  {
    method: 'post',
    path: PATH,
    summary: 'Create an organisation; its creator is its first OWNER',
    tag,
    body: createOrgBody,
    responses: {
      201: { description: 'Created', schema: org },
      400: { description: 'Invalid' },
      409: { description: 'This account has as many as it may (LIMIT_REACHED)' },
      ...unauthenticated,
    },
  },
  {
    method: 'get',
    path: PATH,
    summary: 'The organisations the caller belongs to',
    tag,
    query: listQuery,
    responses: {
      200: { description: 'With the role held in each; a next page is in the header Link', schema: orgList },
      ...unauthenticated,
    },
  },
  {
    method: 'delete',
    path: `${PATH}/{orgId}`,
    summary: 'Delete an organisation that owns nothing, with its memberships and the keys bound to it; for OWNER and ADMIN',
    tag,
    params: orgParams,
    responses: {
      204: { description: 'Deleted' },
      ...unauthenticated,
      403: { description: 'Not an OWNER' },
      404: { description: 'No such organisation' },
      409: { description: 'It owns tokens or has open purchases; the problem says which' },
    },
  },
];

export function orgRoutes(router: Router, { accounts, revocations, authenticator }: AuthContext): void {
  router.post(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { name } = createOrgBody.parse(req.body);
    requireLogin(caller);
    const created = await accounts.orgs.create(v7(), name, caller.userId, actorOf(res));
    if (isLimit(created)) throw limitProblem(created);
    if (created === 'NO_SUCH_USER') throw new Problem('UNAUTHENTICATED', 'The account behind this token is gone');
    res.status(201).json({ orgId: created.id, name: created.name, role: 'OWNER', createdAt: created.createdAt.toISOString() });
  });

  router.get(PATH, authenticator.required, async (req, res) => {
    const { userId, keyOrgId } = callerOf(res);
    const page = listQuery.parse(req.query);
    const orgs = await accounts.orgs.of(userId, wanted(page), keyOrgId ?? null);
    sendPage(
      req,
      res,
      orgs,
      page.limit,
      ({ id }) => id,
      ({ id, name, role, createdAt }) => ({
        orgId: id,
        name,
        role,
        createdAt: createdAt.toISOString(),
      }),
    );
  });

  router.delete(`${PATH}/:orgId`, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { orgId } = orgParams.parse(req.params);
    requireLogin(caller);
    await requireRole(accounts, caller, orgId, ['OWNER']);
    const outcome = await accounts.orgs.remove(orgId, actorOf(res));
    if (outcome === 'NO_SUCH_ORG') throw noSuchOrg();
    if ('owned' in outcome) throw new Problem('CONFLICT', `The organisation still owns ${outcome.owned.join(', ')}`, outcome);
    await announce(revocations, outcome.endings);
    res.status(204).end();
  });
}
