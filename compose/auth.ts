import { createAccounts } from '../adapters/postgres/accounts.js';
import { startAuth } from '../api/auth/start.js';
import { foundServer } from './discovery.js';
import type { Compose } from './service.js';

export const composeAuth: Compose = async (resources) => {
  const { config, log } = resources;
  const accounts = createAccounts(resources.database(), config.auth.bounds);
  const loginPoints = (await resources.limits()).loginPoints();
  return foundServer(
    'auth',
    await startAuth({ config, log, accounts, revocations: await resources.revocations(), loginPoints }),
    resources,
  );
};
