import type { AuditReport, Auditor, Breach, PaymentBooks, UsageBooks } from '../../activities/reconciliation-ports.js';
import type { Connection, Database } from './pool.js';
import { inLongTransaction, patient } from './pool.js';
import { auditPayments, EVERY_PAYMENT } from './payments-audit.js';
import { LAWS, ROLL_UPS, type Law } from './audit-laws.js';
import { countRollUpMismatches } from './usage-audit.js';
import { auditUsageElsewhere } from './usage-elsewhere.js';

const SAMPLES = 5;

/**
 * Checks the invariants of ARCHITECTURE.md against all rows, in one snapshot that blocks nobody.
 * @param usage the usage store, when it is not this database; it is then read after the snapshot
 * @param payments the payment provider's books, when they are not in this database; read after the snapshot, too
 */
export function createAuditor(db: Database, usage: UsageBooks | null = null, payments: PaymentBooks | null = null): Auditor {
  return {
    async audit(graceSeconds) {
      const report = await inLongTransaction(db, (connection) => auditLedger(connection, graceSeconds, usage === null));
      // A payment provider that is away hides no breach of the ledger.
      if (payments) {
        await auditPayments(db, payments, graceSeconds).then(
          (found) => report.breaches.push(...found),
          (error: unknown) => (report.unchecked = [`${EVERY_PAYMENT}: ${error instanceof Error ? error.message : String(error)}`]),
        );
      }
      if (usage === null) return report;
      const { events, breaches } = await auditUsageElsewhere(db, usage, graceSeconds);
      return { ...report, checked: { ...report.checked, usageEvents: events }, breaches: [...report.breaches, ...breaches] };
    },
  };
}

async function auditLedger(connection: Connection, graceSeconds: number, usageHere: boolean): Promise<AuditReport> {
  await connection.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  const checked = await connection.query<AuditReport['checked']>(patient(COUNTS));
  const breaches: Breach[] = [];
  for (const law of LAWS.filter((one) => usageHere || !one.usageHere)) {
    const breach = await check(connection, law, graceSeconds);
    if (breach) breaches.push(breach);
  }
  const mismatches = usageHere ? await countRollUpMismatches(connection) : 0;
  if (mismatches > 0) breaches.push({ invariant: 3, law: ROLL_UPS, count: mismatches, samples: [] });
  return {
    checkedAt: new Date().toISOString(),
    checked: checked.rows[0] ?? { pools: 0, consumptions: 0, purchases: 0, usageEvents: 0 },
    breaches,
  };
}

async function check(connection: Connection, { invariant, law, breaks }: Law, graceSeconds: number): Promise<Breach | null> {
  const { rows } = await connection.query<{ count: number; samples: string[] | null }>(
    patient(
      `WITH settings AS (SELECT now() - make_interval(secs => $1) AS settled_before)
       SELECT count(*) AS count, (array_agg(found.id::text))[1:${SAMPLES}] AS samples FROM (${breaks}) AS found(id)`,
      [graceSeconds],
    ),
  );
  const { count = 0, samples = null } = rows[0] ?? {};
  return count === 0 ? null : { invariant, law, count, samples: samples ?? [] };
}

const COUNTS = `SELECT (SELECT count(*) FROM pools) AS pools, (SELECT count(*) FROM consumptions) AS consumptions,
                       (SELECT count(*) FROM token_purchase_saga) AS purchases, (SELECT count(*) FROM usage_events) AS "usageEvents"`;
