import type { Breach, RecordedUsage, UsageBooks } from '../../activities/reconciliation-ports.js';
import { CHARGE_OF_EACH, EVENT_OF_EACH, ROLL_UPS } from './audit-laws.js';
import type { Database } from './pool.js';

const PAGE = 1_000;
const SAMPLES = 5;

/**
 * Invariant 3 where the usage events are in another store: both sides are compared by id, a page at a time. There is no common
 * snapshot, so each comparison reads first what is written last: a consumption ends before its event is stored, and is charged before.
 */
export async function auditUsageElsewhere(
  db: Database,
  usage: UsageBooks,
  graceSeconds: number,
): Promise<{ events: number; breaches: Breach[] }> {
  const missing = new Finding(EVENT_OF_EACH);
  await forEachEnded(db, usage.keptSince(), graceSeconds, async (page) => {
    const recorded = await usage.find(page.map(({ id }) => id));
    for (const ended of page) if (!isSame(ended, recorded.get(ended.id))) missing.add(ended.id);
  });
  const uncharged = new Finding(CHARGE_OF_EACH);
  let events = 0;
  for await (const page of usage.all()) {
    events += page.length;
    const allowed = page.filter((event) => event.allowed);
    const charges = await chargesOf(
      db,
      allowed.map(({ id }) => id),
    );
    for (const { id, tokens } of allowed) if ((charges.get(id) ?? 0) !== tokens) uncharged.add(id);
  }
  const rollUps = new Finding(ROLL_UPS, await usage.rollUpMismatches());
  return { events, breaches: [missing, uncharged, rollUps].flatMap((finding) => finding.breach()) };
}

class Finding {
  private readonly samples: string[] = [];
  constructor(
    private readonly law: string,
    private count = 0,
  ) {}

  add(id: string): void {
    this.count++;
    if (this.samples.length < SAMPLES) this.samples.push(id);
  }

  breach(): Breach[] {
    return this.count === 0 ? [] : [{ invariant: 3, law: this.law, count: this.count, samples: this.samples }];
  }
}

const isSame = (ended: RecordedUsage, recorded: RecordedUsage | undefined): boolean =>
  recorded !== undefined && (['provider', 'userId', 'tokens', 'allowed'] as const).every((member) => ended[member] === recorded[member]);

/** Consumptions that ended before the grace began, as the events they must have left, in the order of their ids. */
async function forEachEnded(
  db: Database,
  since: Date,
  graceSeconds: number,
  visit: (page: RecordedUsage[]) => Promise<void>,
): Promise<void> {
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const { rows } = await db.query<RecordedUsage>(
      `SELECT id, provider, user_id AS "userId", CASE state WHEN 'SETTLED' THEN charged ELSE tokens END AS tokens, state = 'SETTLED' AS allowed
         FROM consumptions
        WHERE state <> 'HELD' AND decided_at >= $1 AND decided_at < now() - make_interval(secs => $2) AND id > $3
        ORDER BY id LIMIT $4`,
      [since, graceSeconds, after, PAGE],
    );
    if (rows.length > 0) await visit(rows);
    if (rows.length < PAGE) return;
    after = rows[rows.length - 1]?.id ?? after;
  }
}

async function chargesOf(db: Database, ids: readonly string[]): Promise<Map<string, number>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query<{ id: string; tokens: number }>(
    `SELECT ref_id AS id, allowance_tokens + purchased_tokens AS tokens FROM ledger_entries WHERE kind = 'settle' AND ref_id = ANY($1::uuid[])`,
    [ids],
  );
  return new Map(rows.map(({ id, tokens }) => [id, tokens]));
}
