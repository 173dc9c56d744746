import { composeAnalytics } from './analytics.js';
import { composeAuth } from './auth.js';
import { composeGateway } from './gateway.js';
import { composeMaintenanceWorker } from './maintenance-worker.js';
import { composePurchaseWorker } from './purchase-worker.js';
import { together, type Compose } from './service.js';
import { composeStubs } from './stubs.js';
import { composeTokens } from './tokens.js';

/** All of `leaky start`. The gateway opens last and closes first: it never routes to what is not there. */
export const everything: readonly Compose[] = [
  together('services', [composeStubs, composePurchaseWorker, composeMaintenanceWorker, composeAuth, composeAnalytics, composeTokens]),
  composeGateway,
];
