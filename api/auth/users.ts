import type { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { roleParams, userParams, userView } from '../../contracts/http/users.js';
import { actorOf, callerOf, requireAdmin, requireSelf } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { requireLogin, type AuthContext } from './context.js';
import type { Actor } from '../../domain/accounts/actor.js';
import type { EndOfUser, User } from './ports.js';

const PATH = '/api/v1/auth/users';
const tag = 'accounts';
const refusals = { 400: { description: 'Invalid' }, 401: { description: 'Not authenticated' }, 403: { description: 'Not an ADMIN' } };
const missing = { 404: { description: 'No such user' } };
const last = { 409: { description: 'The last ADMIN stays' } };

export const userOperations: Operation[] = [
  {
    method: 'get',
    path: `${PATH}/{userId}`,
    summary: 'An account and its roles as they are now; for itself and an ADMIN',
    tag,
    params: userParams,
    responses: { 200: { description: 'The account', schema: userView }, ...refusals, ...missing },
  },
  {
    method: 'delete',
    path: `${PATH}/{userId}`,
    summary: 'Delete an account with its keys and memberships (ADMIN); what it bought and used stays in the books',
    tag,
    params: userParams,
    responses: {
      204: { description: 'Deleted; its keys and tokens stop working everywhere within a second' },
      ...refusals,
      ...missing,
      409: { description: 'The last ADMIN stays, and so does the last OWNER of an organisation' },
    },
  },
  ...(['disable', 'enable'] as const).map((action): Operation => ({
    method: 'post',
    path: `${PATH}/{userId}/${action}`,
    summary:
      action === 'disable'
        ? 'Disable an account (ADMIN): its keys and tokens stop working everywhere within a second'
        : 'Enable an account again (ADMIN): its keys work, and it can log in',
    tag,
    params: userParams,
    responses: { 204: { description: 'Done' }, ...refusals, ...missing, ...(action === 'disable' && last) },
  })),
  {
    method: 'put',
    path: `${PATH}/{userId}/roles/{role}`,
    summary: 'Give a role (ADMIN); it is in the tokens of the next login',
    tag,
    params: roleParams,
    responses: { 204: { description: 'The user has it' }, ...refusals, ...missing },
  },
  {
    method: 'delete',
    path: `${PATH}/{userId}/roles/{role}`,
    summary: 'Take a role away (ADMIN); the tokens that name it stop working everywhere within a second',
    tag,
    params: roleParams,
    responses: { 204: { description: 'Taken' }, ...refusals, 404: { description: 'No such user, or it has not the role' }, ...last },
  },
];

/** Accounts, for an ADMIN who is logged in. */
export function userRoutes(router: Router, { accounts, revocations, authenticator, log }: AuthContext): void {
  const { users } = accounts;

  router.get(`${PATH}/:userId`, authenticator.required, async (req, res) => {
    const { userId } = userParams.parse(req.params);
    requireSelf(callerOf(res), userId);
    const user = await users.byId(userId);
    if (!user) throw noSuchUser();
    res.json(shown(user));
  });

  type Change = (params: { userId: string; role: string }, by: Actor) => Promise<EndOfUser | 'LAST_OWNER' | 'ROLE_NOT_HELD' | null>;
  const change = (method: 'post' | 'put' | 'delete', path: string, what: string, make: Change) =>
    router[method](`${PATH}/:userId${path}`, authenticator.required, async (req, res) => {
      const caller = callerOf(res);
      requireLogin(caller);
      requireAdmin(caller);
      const params = path.includes(':role') ? roleParams.parse(req.params) : { ...userParams.parse(req.params), role: '' };
      const outcome = await make(params, actorOf(res));
      if (typeof outcome === 'string') throw refusal(outcome);
      log.info({ by: caller.userId, ...params }, what);
      if (outcome) await revocations.publishUser({ userId: params.userId, ...outcome });
      res.status(204).end();
    });

  change('delete', '', 'an account was deleted', ({ userId }, by) => users.remove(userId, by));
  change('post', '/disable', 'an account was disabled', ({ userId }, by) => users.setDisabled(userId, true, by));
  change('post', '/enable', 'an account was enabled', ({ userId }, by) => users.setDisabled(userId, false, by));
  change('delete', '/roles/:role', 'a role was taken away', ({ userId, role }, by) => users.removeRole(userId, role, by));
  change('put', '/roles/:role', 'a role was given', async ({ userId, role }, by) =>
    (await users.addRole(userId, role, by)) ? null : 'NO_SUCH_USER',
  );
}

const shown = ({ id, username, roles, disabledAt, createdAt }: User) => ({
  userId: id,
  username,
  roles,
  disabled: disabledAt !== null,
  createdAt: createdAt.toISOString(),
});

const noSuchUser = () => new Problem('NOT_FOUND', 'There is no such user');

function refusal(why: 'NO_SUCH_USER' | 'ROLE_NOT_HELD' | 'LAST_ADMIN' | 'LAST_OWNER'): Problem {
  if (why === 'NO_SUCH_USER') return noSuchUser();
  if (why === 'ROLE_NOT_HELD') return new Problem('NOT_FOUND', 'The user does not have this role');
  if (why === 'LAST_ADMIN') return new Problem('CONFLICT', 'There is no other ADMIN who is not disabled');
  return new Problem('CONFLICT', 'The user is the only OWNER of an organisation; give it another OWNER first');
}
