import { createPurchaseActivities } from '../activities/purchase.js';
import { createPayments } from '../adapters/payments/index.js';
import { createPurchaseLedger } from '../adapters/postgres/ledger-purchases.js';
import { createSagaStore } from '../adapters/postgres/sagas.js';
import { requireFor } from '../config.js';
import { TASK_QUEUES } from '../contracts/temporal.js';
import { keepWorker } from '../workers/kept-worker.js';
import { workerPart, type Compose } from './service.js';
import { workerBase } from './temporal.js';

export const composePurchaseWorker: Compose = async (resources) => {
  const { config, log } = resources;
  requireFor(config, 'payments');
  const database = resources.database();
  const temporal = await resources.temporal();
  const worker = await keepWorker(log, {
    ...workerBase(temporal, config),
    taskQueue: TASK_QUEUES.purchase,
    // A call to the payment provider may take 30 s and holds a place all that time; the SDK's 100 would soon be all taken by them.
    tuning: { maxConcurrentActivityTaskExecutions: config.purchase.steps },
    activities: createPurchaseActivities({
      payments: createPayments(config, resources.database),
      ledger: createPurchaseLedger(database),
      sagas: createSagaStore(database),
      events: resources.events().purchases,
      log,
    }),
  });
  await worker.polled();
  return workerPart(worker);
};
