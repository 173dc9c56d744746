import type { Logger } from '../telemetry/log.js';
import { metrics } from '../telemetry/metrics.js';
import type { ConsumptionLedger } from './consumption-ports.js';
import type { UsageSink } from './ports.js';
import type { AuditReport, Auditor, OpenWorkflows, StaleHold, StaleHolds, UnreportedUsage } from './reconciliation-ports.js';

export interface ReconciliationDeps {
  stale: StaleHolds;
  unreported: UnreportedUsage;
  workflows: OpenWorkflows;
  ledger: ConsumptionLedger;
  usage: UsageSink;
  auditor: Auditor;
  log: Logger;
}

const CHUNK = 500;
/**
 * A hold is there only while its workflow is open, so one without is an orphan at any age, and an operator who has terminated a
 * workflow wants its hold released at once. Those of this moment are left out as there are many and hardly one is an orphan.
 */
const HOLD_AGE_SECONDS = 5;
const PAGE = 1_000;
/** Of one run: after an upgrade, or long without a worker, there is much to look at */
const LOOK_MS = 15_000;
const INVARIANTS = ['1', '2', '3', '4', '5', '6'];

export type ReconciliationActivities = ReturnType<typeof createReconciliationActivities>;

export function createReconciliationActivities({ stale, unreported, workflows, ledger, usage, auditor, log }: ReconciliationDeps) {
  async function orphansAmong(rows: readonly StaleHold[]): Promise<{ workflowId: string; ids: string[] }[]> {
    const orphans = [];
    for (const workflowId of new Set(rows.map((row) => row.workflowId))) {
      if (await workflows.isOpen(workflowId)) continue;
      orphans.push({ workflowId, ids: rows.filter((row) => row.workflowId === workflowId).map((row) => row.id) });
    }
    return orphans;
  }

  /** Of these rows, publishes what workflows left that are no more. @returns their ids */
  async function publishOrphans(rows: readonly StaleHold[]): Promise<string[]> {
    const published: string[] = [];
    for (const { workflowId, ids } of await orphansAmong(rows)) {
      await usage.publish(await ledger.usageOf(workflowId, ids));
      published.push(...ids);
      log.warn({ workflowId, reported: ids.length }, 'recorded the usage that a workflow left unrecorded');
    }
    return published;
  }

  /** Looks at consumptions from the mark on, page by page; the mark moves on when a page has been dealt with. */
  async function lookOn(olderThanSeconds: number): Promise<{ reported: number; complete: boolean }> {
    const end = Date.now() + LOOK_MS;
    let reported = 0;
    for (;;) {
      const page = await unreported.nextPage(olderThanSeconds, PAGE);
      const published = new Set(await publishOrphans(page.unreported));
      reported += published.size;
      // Their workflows are open, and will publish them or leave that to a later look.
      const postponed = [...page.held, ...page.unreported.map(({ id }) => id).filter((id) => !published.has(id))];
      if (page.upTo) await unreported.pass(page.upTo, postponed);
      if (page.complete || Date.now() > end) return { reported, complete: page.complete };
    }
  }

  return {
    /**
     * Ends what workflows left behind that are no more: an operator terminated them, or the engine's database was lost. What
     * they hold is released; what ended without them is recorded. All else is for an open workflow to end, however old it is.
     *
     * @returns `complete`: everything was looked at; else the next run goes on from where this one stopped
     */
    async releaseOrphans(olderThanSeconds: number): Promise<{ released: number; waiting: number; reported: number; complete: boolean }> {
      const holds = await stale.find(Math.min(olderThanSeconds, HOLD_AGE_SECONDS), CHUNK);
      let released = 0;
      for (const { workflowId, ids } of await orphansAmong(holds)) {
        const ended = await ledger.settle(ids.map((id) => orphaned(id, workflowId)));
        await usage.publish(await ledger.usageOf(workflowId, ids));
        released += ended.length;
        log.warn({ workflowId, released: ended.length }, 'released holds that their workflow left behind');
      }
      const earlier = await publishOrphans(await unreported.postponed(CHUNK));
      await unreported.published(earlier);
      const found = await lookOn(olderThanSeconds);
      return { released, waiting: holds.length - released, reported: earlier.length + found.reported, complete: found.complete };
    },

    async auditLedger(graceSeconds: number): Promise<AuditReport> {
      const report = await auditor.audit(graceSeconds);
      for (const invariant of INVARIANTS) metrics.auditBreaches.set({ invariant }, 0);
      for (const breach of report.breaches) {
        metrics.auditBreaches.inc({ invariant: String(breach.invariant) }, breach.count);
        log.error({ breach }, 'the ledger breaks one of its laws');
      }
      for (const law of report.unchecked ?? []) log.error({ law }, 'a law could not be checked');
      if (!report.unchecked) metrics.auditedAt.setToCurrentTime();
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
