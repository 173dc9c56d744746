import { createMemoryRateLimitStore } from '../adapters/memory/rate-limit-store.js';
import { createServiceList } from '../adapters/memory/service-list.js';
import { operations as analyticsOperations } from '../api/analytics/service.js';
import { authOperations } from '../api/auth/service.js';
import { startGateway } from '../api/gateway/start.js';
import { operations as tokenOperations } from '../api/tokens/operations.js';
import { purchaseOperations } from '../api/tokens/purchases.js';
import { Problem } from '../contracts/errors.js';
import { serverPart, type Compose } from './service.js';

export const composeGateway: Compose = async (resources) => {
  const { config, log } = resources;
  const { identify } = await resources.authenticator();
  const gateway = await startGateway({
    config,
    log,
    limits: createMemoryRateLimitStore(),
    services: createServiceList(config.services),
    operations: [...authOperations, ...tokenOperations, ...purchaseOperations, ...analyticsOperations],
    resolveCaller: async (req) => {
      const identity = await identify(req);
      if (!identity) throw new Problem('UNAUTHENTICATED', 'Send a bearer token or an API key');
      return { caller: identity.caller, jwt: identity.internalJwt };
    },
  });
  return serverPart('gateway', gateway, resources);
};
