import { createAccounts } from '../adapters/postgres/accounts.js';
import { startAuth } from '../api/auth/start.js';
import { serverPart, type Compose } from './service.js';

export const composeAuth: Compose = async (resources) => {
  const { config, log } = resources;
  const accounts = createAccounts(resources.database());
  return serverPart('auth', await startAuth({ config, log, accounts, revocations: await resources.revocations() }), resources);
};
