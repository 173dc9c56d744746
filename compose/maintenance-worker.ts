import { createMaintenanceActivities } from '../activities/maintenance.js';
import { createConsumptionRetention } from '../adapters/postgres/consumption-retention.js';
import { createUsageMaintenance } from '../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../adapters/postgres/usage-reader.js';
import type { Config } from '../config.js';
import { SCHEDULES, TASK_QUEUES, WORKFLOWS } from '../contracts/temporal.js';
import { ensureSchedules, type ScheduledWorkflow } from '../temporal-config/schedules.js';
import { registerSearchAttributes } from '../temporal-config/search-attributes.js';
import { createWorker } from '../workers/create-worker.js';
import { workerPart, type Compose } from './service.js';

/** The worker of the scheduled workflows. It also sees to it that the schedules are there and as configured. */
export const composeMaintenanceWorker: Compose = async (resources) => {
  const { config } = resources;
  const database = resources.database();
  const { client, connection, namespace } = await resources.temporal();
  await registerSearchAttributes(connection, namespace);
  const worker = await createWorker({
    connection,
    namespace,
    taskQueue: TASK_QUEUES.maintenance,
    activities: createMaintenanceActivities({
      usage: createUsageMaintenance(database),
      history: createUsageReader(database),
      consumptions: createConsumptionRetention(database),
    }),
    shutdownGraceMs: config.shutdownGraceMs,
  });
  await Promise.all([worker.polled(), ensureSchedules(client, schedules(config))]);
  return workerPart(worker);
};

const HOUR_MS = 3_600_000;
/** The windows of the contract's defaults; operators read the scan's result in the list of workflows. */
const ANOMALY_SCAN = { windowMinutes: 60, baselineWindows: 3, thresholdMultiplier: 2 };

const schedules = ({ schedules: { rollupSeconds, retentionDays } }: Config): ScheduledWorkflow[] => [
  { scheduleId: SCHEDULES.rollUpUsage, workflowType: WORKFLOWS.rollUpUsage, everyMs: rollupSeconds * 1000, args: [] },
  { scheduleId: SCHEDULES.enforceRetention, workflowType: WORKFLOWS.enforceRetention, everyMs: HOUR_MS, args: [{ retentionDays }] },
  { scheduleId: SCHEDULES.scanAnomalies, workflowType: WORKFLOWS.scanAnomalies, everyMs: HOUR_MS / 4, args: [ANOMALY_SCAN] },
];
