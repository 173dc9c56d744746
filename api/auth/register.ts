import type { Router } from 'express';
import { v7 } from 'uuid';
import { Problem } from '../../contracts/errors.js';
import { registerBody, registered } from '../../contracts/http/auth.js';
import { usernameKey, usernameSkeleton } from '../../domain/accounts/username.js';
import { addressOf } from '../http/client-address.js';
import type { Operation } from '../http/openapi.js';
import type { AuthContext } from './context.js';

export const registerOperations: Operation[] = [
  {
    method: 'post',
    path: '/api/v1/auth/register',
    summary: 'Create an account and log in',
    tag: 'accounts',
    public: true,
    body: registerBody,
    responses: {
      201: { description: 'The account, with a token', schema: registered },
      400: { description: 'Invalid' },
      409: { description: 'The username or the email is taken' },
    },
  },
];

export function registerRoutes(router: Router, { accounts, passwords, issuer, throttle }: AuthContext): void {
  router.post('/api/v1/auth/register', async (req, res) => {
    const { username, email, password } = registerBody.parse(req.body);
    const name = { username, usernameKey: usernameKey(username), usernameSkeleton: usernameSkeleton(username) };
    refuseIfTaken(await accounts.users.taken(name, email));
    const id = v7();
    const roles = ['USER'];
    const passwordHash = await passwords.hash(password);
    // The unique constraints decide: of two registrations at once, the check above may have let both through.
    const created = await accounts.users.create({ id, ...name, email, passwordHash, roles });
    if (typeof created === 'string') throw taken(created);
    await throttle.remember(name.usernameKey, addressOf(req));
    const { token } = await issuer.forUser({ id, username, roles, tokensValidAfter: null });
    res.status(201).json({ userId: id, username, email, token, roles, createdAt: created.createdAt.toISOString() });
  });
}

function refuseIfTaken(what: 'USERNAME_TAKEN' | 'EMAIL_TAKEN' | null): void {
  if (what) throw taken(what);
}

const taken = (what: 'USERNAME_TAKEN' | 'EMAIL_TAKEN') =>
  new Problem('CONFLICT', what === 'USERNAME_TAKEN' ? 'The username is taken, or looks like one that is' : 'The email is taken');
