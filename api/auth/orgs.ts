import type { Router } from 'express';
import { v7 } from 'uuid';
import { Problem } from '../../contracts/errors.js';
import { createOrgBody, org, orgList } from '../../contracts/http/auth.js';
import { actorOf, callerOf } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { requireLogin, type AuthContext } from './context.js';

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
    responses: { 201: { description: 'Created', schema: org }, 400: { description: 'Invalid' }, ...unauthenticated },
  },
  {
    method: 'get',
    path: PATH,
    summary: 'The organisations the caller belongs to',
    tag,
    responses: { 200: { description: 'With the role held in each', schema: orgList }, ...unauthenticated },
  },
];

export function orgRoutes(router: Router, { accounts, authenticator }: AuthContext): void {
  router.post(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { name } = createOrgBody.parse(req.body);
    requireLogin(caller);
    const created = await accounts.orgs.create(v7(), name, caller.userId, actorOf(res));
    if (created === 'NO_SUCH_USER') throw new Problem('UNAUTHENTICATED', 'The account behind this token is gone');
    res.status(201).json({ orgId: created.id, name: created.name, role: 'OWNER', createdAt: created.createdAt.toISOString() });
  });

  router.get(PATH, authenticator.required, async (_req, res) => {
    const { userId, keyOrgId } = callerOf(res);
    const orgs = (await accounts.orgs.of(userId)).filter(({ id }) => !keyOrgId || id === keyOrgId);
    res.json(orgs.map(({ id, name, role, createdAt }) => ({ orgId: id, name, role, createdAt: createdAt.toISOString() })));
  });
}
