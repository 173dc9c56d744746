import type { Logger } from '../telemetry/log.js';
import { metrics } from '../telemetry/metrics.js';
import type { ConsumptionLedger } from './consumption-ports.js';
import type { UsageSink } from './ports.js';
import type { AuditReport, Auditor, OpenWorkflows, StaleHolds } from './reconciliation-ports.js';

export interface ReconciliationDeps {
  stale: StaleHolds;
  workflows: OpenWorkflows;
  ledger: ConsumptionLedger;
  usage: UsageSink;
  auditor: Auditor;
  log: Logger;
}

const CHUNK = 500;
const INVARIANTS = ['1', '2', '3', '4', '5', '6'];

export type ReconciliationActivities = ReturnType<typeof createReconciliationActivities>;

export function createReconciliationActivities({ stale, workflows, ledger, usage, auditor, log }: ReconciliationDeps) {
  return {
    /**
     * Releases holds whose workflow is no more: an operator terminated it, or the engine's database was lost. A hold whose
     * workflow is open is that workflow's to end, however old it is.
     */
    async releaseOrphans(olderThanSeconds: number): Promise<{ released: number; waiting: number }> {
      const holds = await stale.find(olderThanSeconds, CHUNK);
      let released = 0;
      for (const workflowId of new Set(holds.map((hold) => hold.workflowId))) {
        if (await workflows.isOpen(workflowId)) continue;
        const ids = holds.filter((hold) => hold.workflowId === workflowId).map((hold) => hold.id);
        const ended = await ledger.settle(ids.map((id) => orphaned(id, workflowId)));
        await usage.publish(await ledger.usageOf(workflowId, ids));
        released += ended.length;
        log.warn({ workflowId, released: ended.length }, 'released holds that their workflow left behind');
      }
      return { released, waiting: holds.length - released };
    },

    async auditLedger(graceSeconds: number): Promise<AuditReport> {
      const report = await auditor.audit(graceSeconds);
      for (const invariant of INVARIANTS) metrics.auditBreaches.set({ invariant }, 0);
      for (const breach of report.breaches) {
        metrics.auditBreaches.inc({ invariant: String(breach.invariant) }, breach.count);
        log.error({ breach }, 'the ledger breaks one of its laws');
      }
      return report;
    },
  };
}

const orphaned = (id: string, workflowId: string) => ({
  id,
  workflowId,
  charge: 0,
  code: 'ABANDONED' as const,
  detail: 'Its workflow was ended from outside before it could settle; nothing was charged',
  attempts: 0,
  answer: null,
});
