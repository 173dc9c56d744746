import { createMaintenanceActivities } from '../activities/maintenance.js';
import { createReconciliationActivities } from '../activities/reconciliation.js';
import { createAuditor } from '../adapters/postgres/audit.js';
import { createConsumptionRetention } from '../adapters/postgres/consumption-retention.js';
import { createConsumptionLedger } from '../adapters/postgres/ledger.js';
import { createBooksState } from '../adapters/postgres/books-state.js';
import { createStaleHolds } from '../adapters/postgres/stale-holds.js';
import { createUsageMaintenance } from '../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../adapters/postgres/usage-reader.js';
import { createOpenWorkflows } from '../adapters/temporal/open-workflows.js';
import { longestProviderCallMs } from '../api/tokens/service.js';
import type { Config } from '../config.js';
import { SCHEDULES, TASK_QUEUES, WORKFLOWS } from '../contracts/temporal.js';
import { ensureSchedules, type ScheduledWorkflow } from '../temporal-config/schedules.js';
import { registerSearchAttributes } from '../temporal-config/search-attributes.js';
import { reportBooks } from '../telemetry/gauges.js';
import { createWorker } from '../workers/create-worker.js';
import { workerPart, type Compose } from './service.js';
import { workerBase } from './temporal.js';

/** The worker of the scheduled workflows. It also sees to it that the schedules are there and as configured. */
export const composeMaintenanceWorker: Compose = async (resources) => {
  const { config, log } = resources;
  const database = resources.database();
  const temporal = await resources.temporal();
  await registerSearchAttributes(temporal.connection, temporal.namespace);
  reportBooks(createBooksState(database));
  const worker = await createWorker({
    ...workerBase(temporal, config),
    taskQueue: TASK_QUEUES.maintenance,
    activities: {
      ...createMaintenanceActivities({
        usage: createUsageMaintenance(database),
        history: createUsageReader(database),
        consumptions: createConsumptionRetention(database),
      }),
      ...createReconciliationActivities({
        stale: createStaleHolds(database),
        workflows: createOpenWorkflows(temporal.client),
        ledger: createConsumptionLedger(database, { enforceQuota: config.flags.quotaEnforcement }),
        usage: resources.events().usage,
        auditor: createAuditor(database),
        log,
      }),
    },
  });
  await Promise.all([worker.polled(), ensureSchedules(temporal.client, schedules(config))]);
  return workerPart(worker);
};

const HOUR_MS = 3_600_000;
/** The windows of the contract's defaults; operators read the scan's result in the list of workflows. */
const ANOMALY_SCAN = { windowMinutes: 60, baselineWindows: 3, thresholdMultiplier: 2 };

/** Settling, taking over a dead worker's batch and recording its usage are long over by then. */
const AUDIT_GRACE_SECONDS = 60;

function schedules(config: Config): ScheduledWorkflow[] {
  const { rollupSeconds, reconcileSeconds, retentionDays } = config.schedules;
  const olderThanSeconds = Math.ceil(longestProviderCallMs(config) / 1000) + AUDIT_GRACE_SECONDS;
  return [
    { scheduleId: SCHEDULES.rollUpUsage, workflowType: WORKFLOWS.rollUpUsage, everyMs: rollupSeconds * 1000, args: [] },
    {
      scheduleId: SCHEDULES.reconcileLedger,
      workflowType: WORKFLOWS.reconcileLedger,
      everyMs: reconcileSeconds * 1000,
      args: [{ olderThanSeconds }],
    },
    {
      scheduleId: SCHEDULES.auditLedger,
      workflowType: WORKFLOWS.auditLedger,
      everyMs: HOUR_MS,
      args: [{ graceSeconds: olderThanSeconds }],
    },
    { scheduleId: SCHEDULES.enforceRetention, workflowType: WORKFLOWS.enforceRetention, everyMs: HOUR_MS, args: [{ retentionDays }] },
    { scheduleId: SCHEDULES.scanAnomalies, workflowType: WORKFLOWS.scanAnomalies, everyMs: HOUR_MS / 4, args: [ANOMALY_SCAN] },
  ];
}
