import { createMaintenanceActivities } from '../activities/maintenance.js';
import { createReconciliationActivities } from '../activities/reconciliation.js';
import { createPaymentBooks } from '../adapters/payments/index.js';
import { createAuditor } from '../adapters/postgres/audit.js';
import { createConsumptionRetention } from '../adapters/postgres/consumption-retention.js';
import { createConsumptionLedger } from '../adapters/postgres/ledger.js';
import { createBooksState } from '../adapters/postgres/books-state.js';
import { createStaleHolds } from '../adapters/postgres/stale-holds.js';
import { createUnreportedUsage } from '../adapters/postgres/unreported-usage.js';
import { createOpenWorkflows } from '../adapters/temporal/open-workflows.js';
import { TASK_QUEUES } from '../contracts/temporal.js';
import { ensureSchedules } from '../temporal-config/schedules.js';
import { ensureSearchAttributes } from '../temporal-config/search-attributes.js';
import { reportBooks } from '../telemetry/gauges.js';
import { keepWorker } from '../workers/kept-worker.js';
import { schedules } from './schedules.js';
import { workerPart, type Compose } from './service.js';
import { payloadKeys, workerBase } from './temporal.js';

/** The worker of the scheduled workflows. It also sees to it that the schedules are there and as configured. */
export const composeMaintenanceWorker: Compose = async (resources) => {
  const { config, log } = resources;
  const database = resources.database();
  const usage = resources.usageStore();
  const temporal = await resources.temporal();
  const attributes = await ensureSearchAttributes(temporal.connection, temporal.namespace);
  const amiss = attributes.filter(({ state }) => state === 'differs' || state === 'by hand');
  if (amiss.length > 0) log.warn({ amiss }, 'search attributes are not as needed; leaky setup says more');
  reportBooks(createBooksState(database));
  const worker = await keepWorker(log, {
    ...workerBase(temporal, config),
    taskQueue: TASK_QUEUES.maintenance,
    activities: {
      ...createMaintenanceActivities({
        usage: usage.maintenance,
        history: usage.reader,
        consumptions: createConsumptionRetention(database),
      }),
      ...createReconciliationActivities({
        stale: createStaleHolds(database),
        unreported: createUnreportedUsage(database, usage.books),
        workflows: createOpenWorkflows(temporal.client),
        ledger: createConsumptionLedger(database, { enforceQuota: config.flags.quotaEnforcement }),
        usage: resources.events().usage,
        auditor: createAuditor(database, usage.books, createPaymentBooks(config)),
        log,
      }),
    },
  });
  await Promise.all([worker.polled(), ensureSchedules(temporal.client, schedules(config), payloadKeys(config)?.active)]);
  return workerPart(worker);
};
