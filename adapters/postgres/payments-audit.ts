import type { Breach, KnownPayment, PaymentBooks } from '../../activities/reconciliation-ports.js';
import type { Database } from './pool.js';

export const EVERY_PAYMENT =
  'every payment that its provider knows for a purchase is captured with its tokens posted, cancelled or refunded, or the purchase is open';

/** Payments younger than this are read again by the next audit, whatever became of them. */
const READ_AGAIN_MS = 86_400_000;
const SAMPLES = 5;

interface Known {
  id: string;
  open: boolean;
  posted: boolean;
  paymentId: string | null;
}

/**
 * Holds what a payment provider knows against the ledger. Payments end for good, so those from before the oldest one that had not ended at
 * the last look are not read again (payment_checks).
 * @param graceSeconds payments younger than this are not judged
 */
export async function auditPayments(db: Database, books: PaymentBooks, graceSeconds: number): Promise<Breach[]> {
  const began = Date.now();
  const { rows } = await db.query<{ from: Date }>('SELECT ended_before AS from FROM payment_checks WHERE provider = $1', [books.provider]);
  let endedBefore = began - READ_AGAIN_MS;
  const lone: string[] = [];
  for await (const page of books.since(rows[0]?.from ?? null)) {
    for (const payment of await unsettledOf(db, page)) {
      endedBefore = Math.min(endedBefore, payment.createdAt.getTime() - 1_000);
      if (!payment.isOpen && payment.createdAt.getTime() <= began - graceSeconds * 1000 && (await isStill(db, books, payment))) {
        lone.push(`${payment.sagaId} (${payment.id})`);
      }
    }
  }
  await db.query(
    'INSERT INTO payment_checks (provider, ended_before) VALUES ($1, $2) ON CONFLICT (provider) DO UPDATE SET ended_before = $2',
    [books.provider, new Date(endedBefore)],
  );
  return lone.length === 0 ? [] : [{ invariant: 2, law: EVERY_PAYMENT, count: lone.length, samples: lone.slice(0, SAMPLES) }];
}

/** Those that have not come to an end that the ledger agrees with. */
async function unsettledOf(db: Database, page: readonly KnownPayment[]): Promise<(KnownPayment & { isOpen: boolean })[]> {
  const live = page.filter(({ state }) => state !== 'ENDED');
  if (live.length === 0) return [];
  const { rows } = await db.query<Known>(
    `SELECT asked.id, coalesce(s.status NOT IN ('COMPLETED', 'FAILED'), false) AS open, coalesce(a.state = 'POSTED', false) AS posted,
            p.payment_id AS "paymentId"
       FROM unnest($1::text[]) AS asked(id)
       LEFT JOIN token_purchase_saga s ON s.id::text = asked.id
       LEFT JOIN allocations a ON a.saga_id::text = asked.id
       LEFT JOIN payments p ON p.saga_id::text = asked.id`,
    [live.map(({ sagaId }) => sagaId)],
  );
  const facts = new Map(rows.map((row) => [row.id, row]));
  return live.flatMap((payment) => {
    const fact = facts.get(payment.sagaId);
    // A second captured payment of one purchase is not the one that its tokens were posted for.
    const settled = payment.state === 'CAPTURED' && fact?.posted && (fact.paymentId === null || fact.paymentId === payment.id);
    return settled ? [] : [{ ...payment, isOpen: fact?.open ?? false }];
  });
}

/** The page was read before the ledger, so the payment may have moved on since: it is asked for anew, when its purchase has ended for good. */
async function isStill(db: Database, books: PaymentBooks, { id }: KnownPayment): Promise<boolean> {
  const now = await books.current(id);
  return now !== null && (await unsettledOf(db, [now])).some(({ isOpen }) => !isOpen);
}
