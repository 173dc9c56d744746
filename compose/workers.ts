import { composeConsumptionWorker } from './consumption-worker.js';
import { composeMaintenanceWorker } from './maintenance-worker.js';
import { composePurchaseWorker } from './purchase-worker.js';
import { together } from './service.js';

/** What runs beside the services in a deployment of its own; the token service has a consumption worker of its own. */
export const composeWorkers = together('workers', [composePurchaseWorker, composeMaintenanceWorker, composeConsumptionWorker]);
