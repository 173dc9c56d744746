import { continueAsNew, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { AnomalyScan, MaintenanceActivities, Progress, UsageAnomaly } from '../activities/maintenance.js';

// Each of these is started by a schedule that skips a run while the last one goes on, and each catches up by itself:
// a run that fails for good costs nothing but time, so retries end and the failure shows in the list of workflows.
const { foldUsage, purgeUsage, purgeConsumptions, findAnomalies } = proxyActivities<MaintenanceActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '2 minutes',
  scheduleToCloseTimeout: '15 minutes',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});

/** Activities per run before the history is cut: a history stays below a hundred events. */
const ROUNDS = 12;

export interface RollUpResult {
  /** Deltas folded into the roll-ups, in all runs of the chain */
  folded: number;
}

/** Moves what was recorded since the last time into the roll-ups, until nothing is left. */
export async function rollUpUsage(foldedBefore = 0): Promise<RollUpResult> {
  const { count, done } = await repeat(foldUsage);
  const folded = foldedBefore + count;
  if (!done) return continueAsNew<typeof rollUpUsage>(folded);
  return { folded };
}

export interface RetentionResult {
  /** Everything older was deleted */
  before: string;
  usageEvents: number;
  consumptions: number;
}

export interface RetentionOrder {
  retentionDays: number;
}

/**
 * Deletes ended consumptions, then usage events with their roll-ups, that are older than the retention. In this order: a
 * consumption that is still there has its event, so an audit in between finds nothing amiss.
 */
export async function enforceRetention({ retentionDays }: RetentionOrder, soFar?: RetentionResult): Promise<RetentionResult> {
  const result = soFar ?? { before: daysBefore(workflowInfo().runStartTime, retentionDays), usageEvents: 0, consumptions: 0 };
  const consumptions = await repeat(() => purgeConsumptions(result.before));
  result.consumptions += consumptions.count;
  if (!consumptions.done) return continueAsNew<typeof enforceRetention>({ retentionDays }, result);
  const usage = await repeat(() => purgeUsage(result.before));
  result.usageEvents += usage.count;
  if (!usage.done) return continueAsNew<typeof enforceRetention>({ retentionDays }, result);
  return result;
}

export interface AnomalyResult {
  windowEnd: string;
  anomalies: UsageAnomaly[];
}

/** Lists the providers whose last window used far more tokens than the windows before it; operators read the result. */
export async function scanAnomalies(scan: AnomalyScan): Promise<AnomalyResult> {
  const windowEnd = workflowInfo().runStartTime.toISOString();
  return { windowEnd, anomalies: await findAnomalies(windowEnd, scan) };
}

async function repeat(activity: () => Promise<Progress>): Promise<Progress> {
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const progress = await activity();
    count += progress.count;
    if (progress.done) return { count, done: true };
  }
  return { count, done: false };
}

const daysBefore = (time: Date, days: number) => new Date(time.getTime() - days * 86_400_000).toISOString();
