import type { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { loggedIn, loginBody } from '../../contracts/http/auth.js';
import { usernameKey } from '../../domain/accounts/username.js';
import { addressOf } from '../http/client-address.js';
import type { Operation } from '../http/openapi.js';
import type { AuthContext } from './context.js';
import { LoginFailures } from './login-failures.js';

export const loginOperations: Operation[] = [
  {
    method: 'post',
    path: '/api/v1/auth/login',
    summary: 'Log in',
    tag: 'accounts',
    public: true,
    body: loginBody,
    responses: {
      200: { description: 'A token', schema: loggedIn },
      400: { description: 'Invalid' },
      401: { description: 'Unknown user or wrong password: which of them is not told' },
      429: { description: 'Too many failed logins; see Retry-After' },
    },
  },
];

export function loginRoutes(router: Router, { accounts, passwords, issuer, throttle, log }: AuthContext): void {
  const failures = new LoginFailures(log);

  router.post('/api/v1/auth/login', async (req, res) => {
    const { username, password } = loginBody.parse(req.body);
    const key = usernameKey(username);
    const address = addressOf(req);
    let attacked: string | null = null;
    const prove = async () => {
      const found = await accounts.users.byUsernameKey(key);
      attacked = found?.id ?? null;
      const { same, newHash } = await passwords.matches(password, found?.passwordHash ?? null);
      if (!found || !same) return null;
      if (newHash !== null) await accounts.users.rehash(found.id, found.passwordHash, newHash);
      return found;
    };
    const user = await throttle.attempt({ account: key, address }, prove).catch((error: unknown) => {
      if (error instanceof Problem && error.code === 'LOGIN_THROTTLED') failures.note('throttled', { userId: attacked, address });
      throw error;
    });
    if (!user) failures.note('refused', { userId: attacked, address });
    if (!user) throw new Problem('INVALID_CREDENTIALS', 'The username or the password is wrong');
    // Said only to who has proven the password.
    if (user.disabledAt) throw new Problem('INVALID_CREDENTIALS', 'This account is disabled');
    const { token, expiresAt } = await issuer.forUser(user);
    res.json({ userId: user.id, username: user.username, token, roles: user.roles, expiresAt: expiresAt.toISOString() });
  });
}
