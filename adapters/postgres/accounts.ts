import type { AccountBounds, Accounts } from '../../api/auth/ports.js';
import { createAdminLog } from './admin-log.js';
import { createApiKeys } from './api-keys.js';
import { DEFAULT_BOUNDS } from './bounds.js';
import { createInvitations } from './invitations.js';
import { createOrgs } from './orgs.js';
import type { Database } from './pool.js';
import { createSigningKeys } from './signing-keys.js';
import { createPostgresStanding } from './standings.js';
import { createUsers } from './users.js';

/** Everything the auth service keeps, in PostgreSQL. */
export function createAccounts(pool: Database, bounds: AccountBounds = DEFAULT_BOUNDS): Accounts {
  return {
    adminLog: createAdminLog(pool),
    users: createUsers(pool),
    standing: createPostgresStanding(() => pool),
    apiKeys: createApiKeys(pool, bounds),
    orgs: createOrgs(pool, bounds),
    invitations: createInvitations(pool, bounds),
    signingKeys: createSigningKeys(pool),
    async ping() {
      await pool.query('SELECT 1');
    },
  };
}
