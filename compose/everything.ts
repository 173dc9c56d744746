import { composeAnalytics } from './analytics.js';
import { composeAuth } from './auth.js';
import { composeGateway } from './gateway.js';
import { composeMaintenanceWorker } from './maintenance-worker.js';
import { composePurchaseWorker } from './purchase-worker.js';
import { together, type Compose } from './service.js';
import { composeStubs } from './stubs.js';
import { composeTokens } from './tokens.js';

/** All of `leaky start`, each after what it calls: the gateway opens last and closes first, the stubs the other way round. */
export const everything: readonly Compose[] = [
  composeStubs,
  together('services', [composePurchaseWorker, composeMaintenanceWorker, composeAuth, composeAnalytics, composeTokens]),
  composeGateway,
];
