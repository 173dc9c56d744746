import { longestProviderCallMs } from '../api/tokens/service.js';
import type { Config } from '../config.js';
import { SCHEDULES, WORKFLOWS } from '../contracts/temporal.js';
import type { ScheduledWorkflow } from '../temporal-config/schedules.js';

const HOUR_MS = 3_600_000;
/** The windows of the contract's defaults; operators read the scan's result in the list of workflows. */
const ANOMALY_SCAN = { windowMinutes: 60, baselineWindows: 3, thresholdMultiplier: 2 };

/** Settling, taking over a dead worker's batch and recording its usage are long over by then. */
const AUDIT_GRACE_SECONDS = 60;

/** What runs by the clock. The worker of these workflows keeps them as configured, and so does `leaky setup`. */
export function schedules(config: Config): ScheduledWorkflow[] {
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
