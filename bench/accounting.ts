import type { UsageBooks } from '../activities/reconciliation-ports.js';
import { createAuditor } from '../adapters/postgres/audit.js';
import type { Database } from '../adapters/postgres/pool.js';
import { PREFILL } from './prepare/history.js';

/** What callers were told of one system */
export interface Told {
  /** 2xx to consumptions */
  consumed: number;
  /** Consumptions that were sent and whose answer nobody saw */
  unknown: number;
  /** Purchases that were seen COMPLETED */
  purchased: number;
}

const SETTLING_MS = 60_000;

/**
 * Holds what was answered against the books: each 2xx is one settled row and one usage event, none is held, and every law of the
 * audit holds. `usage`: where the events are when not in this database; the audit counts them there.
 * @returns what is wrong, in words; nothing when all is well
 */
export async function account(database: Database, told: Told, usage: UsageBooks | null = null): Promise<string[]> {
  const auditor = createAuditor(database, usage);
  await nothingHeld(database);
  if (usage) await quiet(auditor);
  else await until(database, WITHOUT_EVENT, 'consumptions are still without their usage event');
  const { rows } = await database.query<{ settled: number; events: number; completed: number }>(
    `SELECT (SELECT count(*) FROM consumptions WHERE state = 'SETTLED' AND workflow_id <> $1) AS settled,
            (SELECT count(*) FROM usage_events WHERE allowed AND tag IS DISTINCT FROM $1) AS events,
            (SELECT count(*) FROM token_purchase_saga WHERE status = 'COMPLETED') AS completed`,
    [PREFILL],
  );
  const { settled = -1, events = -1, completed = -1 } = rows[0] ?? {};
  const faults: string[] = [];
  if (settled < told.consumed || settled > told.consumed + told.unknown) {
    faults.push(`${told.consumed} consumptions were answered with 200 (${told.unknown} not answered), ${settled} are settled`);
  }
  if (usage === null && events !== settled) faults.push(`${settled} consumptions are settled, ${events} usage events say so`);
  if (completed < told.purchased) faults.push(`${told.purchased} purchases were seen completed, ${completed} are`);
  const { breaches } = await auditor.audit(0);
  for (const breach of breaches)
    faults.push(`invariant ${breach.invariant}: ${breach.law}: ${breach.count} (${breach.samples.join(', ')})`);
  return faults;
}

const HELD = `SELECT EXISTS (SELECT 1 FROM consumptions WHERE state = 'HELD') AS open`;
const WITHOUT_EVENT = `SELECT (SELECT count(*) FROM consumptions) > (SELECT count(*) FROM usage_events) AS open`;

/** Waits until nothing is held. Cheap: it may be asked while CPU is being counted. @throws Error after a minute */
export const nothingHeld = (database: Database): Promise<void> => until(database, HELD, 'consumptions are still held');

/** Events that go another way arrive later: waits until the audit finds nothing, at most a minute. What it finds then is a fault. */
async function quiet(auditor: ReturnType<typeof createAuditor>): Promise<void> {
  const deadline = Date.now() + SETTLING_MS;
  while ((await auditor.audit(0)).breaches.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function until(database: Database, question: string, what: string): Promise<void> {
  const deadline = Date.now() + SETTLING_MS;
  for (;;) {
    const { rows } = await database.query<{ open: boolean }>(question);
    if (!rows[0]?.open) return;
    if (Date.now() > deadline) throw new Error(`${what} after a minute`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
