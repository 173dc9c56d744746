import { proxyActivities } from '@temporalio/workflow';
import type { ReconciliationActivities } from '../activities/reconciliation.js';
import type { AuditReport } from '../activities/reconciliation-ports.js';

const { releaseOrphans } = proxyActivities<ReconciliationActivities>({
  startToCloseTimeout: '1 minute',
  scheduleToCloseTimeout: '10 minutes',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' },
});
const audit = proxyActivities<ReconciliationActivities>({
  startToCloseTimeout: '30 minutes',
  retry: { maximumAttempts: 3 },
});

export interface ReconciliationOrder {
  /** Holds older than this are looked at; longer than any provider call */
  olderThanSeconds: number;
}

/** Scheduled: no hold outlives its workflow, not even one that was terminated by hand. */
export function reconcileLedger({ olderThanSeconds }: ReconciliationOrder): Promise<{ released: number; waiting: number }> {
  return releaseOrphans(olderThanSeconds);
}

/** Scheduled: checks the invariants; the result names every breach. Operators alert on the metric leaky_audit_breaches. */
export function auditLedger({ graceSeconds }: { graceSeconds: number }): Promise<AuditReport> {
  return audit.auditLedger(graceSeconds);
}
