import type { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { loggedIn, loginBody } from '../../contracts/http/auth.js';
import type { Operation } from '../http/openapi.js';
import type { AuthContext } from './context.js';
import { usernameKey } from './names.js';

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

export function loginRoutes(router: Router, { accounts, passwords, issuer, throttle }: AuthContext): void {
  router.post('/api/v1/auth/login', async (req, res) => {
    const { username, password } = loginBody.parse(req.body);
    const key = usernameKey(username);
    const user = await throttle.attempt(`${key} ${req.ip}`, async () => {
      const found = await accounts.users.byUsernameKey(key);
      return (await passwords.matches(password, found?.passwordHash ?? null)) ? found : null;
    });
    if (!user) throw new Problem('INVALID_CREDENTIALS', 'The username or the password is wrong');
    // Said only to who has proven the password.
    if (user.disabledAt) throw new Problem('INVALID_CREDENTIALS', 'This account is disabled');
    const { token, expiresAt } = await issuer.forUser(user);
    res.json({ userId: user.id, username: user.username, token, roles: user.roles, expiresAt: expiresAt.toISOString() });
  });
}
