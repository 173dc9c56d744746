import { createAccounts } from '../adapters/postgres/accounts.js';
import { startAuth } from '../api/auth/start.js';
import { servicePart, type Compose } from './service.js';

export const composeAuth: Compose = async (resources) => {
  const { config, log } = resources;
  const accounts = createAccounts(resources.database());
  return servicePart('auth', await startAuth({ config, log, accounts, revocations: await resources.revocations() }), resources);
};
