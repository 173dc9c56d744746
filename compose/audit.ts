import { createPaymentBooks } from '../adapters/payments/index.js';
import { createAuditor } from '../adapters/postgres/audit.js';
import { createPool } from '../adapters/postgres/pool.js';
import type { AuditReport } from '../activities/reconciliation-ports.js';
import type { Config } from '../config.js';
import { withDatabaseUrl } from '../embedded/borrow-postgres.js';
import { openUsageStore } from './usage-store.js';

/** Checks the ledger's laws on the configured database and prints the verdict. @returns whether it is sound */
export async function runAudit(config: Config, options: { graceSeconds: number; json: boolean }): Promise<boolean> {
  const report = await withDatabaseUrl(config, async (url) => {
    const pool = createPool(url, 1);
    const usage = openUsageStore(config, () => pool);
    return createAuditor(pool, usage.books, createPaymentBooks(config))
      .audit(options.graceSeconds)
      .finally(() => Promise.all([usage.close(), pool.end()]));
  });
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describeAudit(report));
  return report.breaches.length === 0 && !report.unchecked;
}

/** The verdict as an operator reads it. */
export function describeAudit({ checkedAt, checked, breaches, unchecked = [] }: AuditReport): string {
  const { pools, consumptions, purchases, usageEvents } = checked;
  const scope = `${checkedAt}  ${pools} pools, ${consumptions} consumptions, ${purchases} purchases, ${usageEvents} usage events`;
  const open = unchecked.map((law) => `NOT CHECKED: ${law}`);
  if (breaches.length === 0 && open.length === 0) return `${scope}\nAll invariants hold.\n`;
  const lines = breaches.map(
    ({ invariant, law, count, samples }) =>
      `BREACH of invariant ${invariant}: ${law}\n  ${count} time(s)${samples.length > 0 ? `, for instance ${samples.join(', ')}` : ''}`,
  );
  return `${scope}\n${[...lines, ...open].join('\n')}\n`;
}
