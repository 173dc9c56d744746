import { v7 } from 'uuid';
import { PASSWORD_MAX_BYTES, byteLength } from '../../contracts/http/auth.js';
import { CONFIGURATION } from '../../domain/accounts/actor.js';
import { usernameKey, usernameSkeleton } from '../../domain/accounts/username.js';
import type { AuthContext } from './context.js';

/**
 * Makes the configured ADMIN: created when absent, its password never changed afterwards. An account of that name that is no
 * ADMIN yet becomes one only if the configured password is its own: anybody could have registered the name first.
 *
 * @throws Error when the configured password is too long for bcrypt
 */
export async function ensureFirstAdmin({ config, log, accounts, passwords }: Omit<AuthContext, 'authenticator'>): Promise<void> {
  const { adminUsername: username, adminPassword: password } = config.auth;
  if (username === undefined || password === undefined) return;
  if (byteLength(password) > PASSWORD_MAX_BYTES) throw new Error(`LEAKY_ADMIN_PASSWORD is longer than ${PASSWORD_MAX_BYTES} bytes`);
  const key = usernameKey(username);
  const existing = await accounts.users.byUsernameKey(key);
  if (!existing) {
    const passwordHash = await passwords.hash(password);
    // Another process may have been quicker, and then it was made from the same configuration.
    await accounts.users.create(
      {
        id: v7(),
        username,
        usernameKey: key,
        usernameSkeleton: usernameSkeleton(username),
        email: null,
        passwordHash,
        roles: ['USER', 'ADMIN'],
      },
      CONFIGURATION,
    );
    return;
  }
  if (existing.roles.includes('ADMIN')) return;
  if ((await passwords.matches(password, existing.passwordHash)).same) {
    await accounts.users.addRole(existing.id, 'ADMIN', CONFIGURATION);
    return;
  }
  log.error(
    { username },
    'the account named in LEAKY_ADMIN_USERNAME exists with another password and is no ADMIN; choose another name or set its password',
  );
}
