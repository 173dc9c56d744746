import type { Accounts } from '../../api/auth/ports.js';
import { createAdminLog } from './admin-log.js';
import { createApiKeys } from './api-keys.js';
import { createOrgs } from './orgs.js';
import type { Database } from './pool.js';
import { createSigningKeys } from './signing-keys.js';
import { createPostgresStanding } from './standings.js';
import { createUsers } from './users.js';

/** Everything the auth service keeps, in PostgreSQL. */
export function createAccounts(pool: Database): Accounts {
  return {
    adminLog: createAdminLog(pool),
    users: createUsers(pool),
    standing: createPostgresStanding(() => pool),
    apiKeys: createApiKeys(pool),
    orgs: createOrgs(pool),
    signingKeys: createSigningKeys(pool),
    async ping() {
      await pool.query('SELECT 1');
    },
  };
}
