import { createPurchaseActivities } from '../activities/purchase.js';
import { createPayments } from '../adapters/payments/index.js';
import { createPurchaseLedger } from '../adapters/postgres/ledger-purchases.js';
import { createSagaStore } from '../adapters/postgres/sagas.js';
import { TASK_QUEUES } from '../contracts/temporal.js';
import { createWorker } from '../workers/create-worker.js';
import { workerPart, type Compose } from './service.js';

export const composePurchaseWorker: Compose = async (resources) => {
  const { config, log } = resources;
  const database = resources.database();
  const { connection, namespace } = await resources.temporal();
  const worker = await createWorker({
    connection,
    namespace,
    taskQueue: TASK_QUEUES.purchase,
    activities: createPurchaseActivities({
      payments: createPayments(config, resources.database),
      ledger: createPurchaseLedger(database),
      sagas: createSagaStore(database),
      events: resources.events().purchases,
      log,
    }),
    shutdownGraceMs: config.shutdownGraceMs,
  });
  await worker.polled();
  return workerPart(worker);
};
