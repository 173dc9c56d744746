import { createMemoryRateLimitStore } from '../adapters/memory/rate-limit-store.js';
import { createServiceList } from '../adapters/memory/service-list.js';
import { operations as analyticsOperations } from '../api/analytics/service.js';
import { authOperations } from '../api/auth/service.js';
import { startGateway } from '../api/gateway/start.js';
import { operations as tokenOperations } from '../api/tokens/operations.js';
import { purchaseOperations } from '../api/tokens/purchases.js';
import { serverPart, type Compose } from './service.js';

export const composeGateway: Compose = async (resources) => {
  const { config, log } = resources;
  const gateway = await startGateway({
    config,
    log,
    limits: createMemoryRateLimitStore(),
    services: createServiceList(config.services),
    operations: [...authOperations, ...tokenOperations, ...purchaseOperations, ...analyticsOperations],
    authenticator: await resources.authenticator(),
  });
  return serverPart('gateway', gateway, resources);
};
