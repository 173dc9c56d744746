import { createUsageReader } from '../adapters/postgres/usage-reader.js';
import { startAnalytics } from '../api/analytics/service.js';
import { serverPart, type Compose } from './service.js';

export const composeAnalytics: Compose = async (resources) => {
  const { config, log } = resources;
  const { required } = await resources.authenticator();
  const usage = createUsageReader(resources.database());
  return serverPart(
    'analytics',
    await startAnalytics({ config, log, usage, memberships: resources.memberships(), authenticate: required }),
    resources,
  );
};
