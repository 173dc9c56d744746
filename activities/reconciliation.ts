import type { Logger } from '../telemetry/log.js';
import { metrics } from '../telemetry/metrics.js';
import type { ConsumptionLedger } from './consumption-ports.js';
import type { UsageSink } from './ports.js';
import type { AuditReport, Auditor, OpenWorkflows, StaleHold, StaleHolds } from './reconciliation-ports.js';

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
  async function orphansAmong(rows: readonly StaleHold[]): Promise<{ workflowId: string; ids: string[] }[]> {
    const orphans = [];
    for (const workflowId of new Set(rows.map((row) => row.workflowId))) {
      if (await workflows.isOpen(workflowId)) continue;
      orphans.push({ workflowId, ids: rows.filter((row) => row.workflowId === workflowId).map((row) => row.id) });
    }
    return orphans;
  }

  return {
    /**
     * Ends what workflows left behind that are no more: an operator terminated them, or the engine's database was lost. What
     * they hold is released; what ended without them is recorded. All else is for an open workflow to end, however old it is.
     */
    async releaseOrphans(olderThanSeconds: number): Promise<{ released: number; waiting: number; reported: number }> {
      const holds = await stale.find(olderThanSeconds, CHUNK);
      let released = 0;
      for (const { workflowId, ids } of await orphansAmong(holds)) {
        const ended = await ledger.settle(ids.map((id) => orphaned(id, workflowId)));
        await usage.publish(await ledger.usageOf(workflowId, ids));
        released += ended.length;
        log.warn({ workflowId, released: ended.length }, 'released holds that their workflow left behind');
      }
      let reported = 0;
      for (const { workflowId, ids } of await orphansAmong(await stale.findUnreported(olderThanSeconds, CHUNK))) {
        await usage.publish(await ledger.usageOf(workflowId, ids));
        reported += ids.length;
        log.warn({ workflowId, reported: ids.length }, 'recorded the usage that a workflow left unrecorded');
      }
      return { released, waiting: holds.length - released, reported };
    },

    async auditLedger(graceSeconds: number): Promise<AuditReport> {
      const report = await auditor.audit(graceSeconds);
      for (const invariant of INVARIANTS) metrics.auditBreaches.set({ invariant }, 0);
      for (const breach of report.breaches) {
        metrics.auditBreaches.inc({ invariant: String(breach.invariant) }, breach.count);
        log.error({ breach }, 'the ledger breaks one of its laws');
      }
      metrics.auditedAt.setToCurrentTime();
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
