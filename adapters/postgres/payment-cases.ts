import type { SagaStatus } from '../../contracts/temporal.js';
import type { Database } from './pool.js';

/** What an operator needs to know of a payment before touching it. */
export interface PaymentCase {
  sagaId: string;
  /** null: there is no purchase, only a payment in the simulator's books */
  status: SagaStatus | null;
  parkedOn: string | null;
  tokens: number | null;
  amountCents: number;
  method: string;
  /** PENDING, POSTED, VOIDED; null: none were set aside */
  allocation: string | null;
  /** In the simulator's books; null: not there */
  simulated: string | null;
  /** At a provider that has ids of its own; null: not learnt, or not there */
  paymentId: string | null;
  createdAt: Date;
}

const CASES = `
  SELECT coalesce(s.id, m.payment_key) AS "sagaId", s.status, s.parked_on AS "parkedOn", s.tokens,
         coalesce(s.amount_cents, m.amount_cents) AS "amountCents", coalesce(s.payment_method, m.method) AS method,
         a.state AS allocation, m.state AS simulated, p.payment_id AS "paymentId", coalesce(s.created_at, m.created_at) AS "createdAt"
    FROM token_purchase_saga s
    FULL JOIN sim_payments m ON m.payment_key = s.id
    LEFT JOIN allocations a ON a.saga_id = coalesce(s.id, m.payment_key)
    LEFT JOIN payments p ON p.saga_id = coalesce(s.id, m.payment_key)`;

export function createPaymentCases(db: Database) {
  return {
    async find(sagaId: string): Promise<PaymentCase | null> {
      const { rows } = await db.query<PaymentCase>(`${CASES} WHERE coalesce(s.id, m.payment_key) = $1`, [sagaId]);
      return rows[0] ?? null;
    },
    /** Newest first */
    async newest(limit: number): Promise<PaymentCase[]> {
      return (await db.query<PaymentCase>(`${CASES} ORDER BY coalesce(s.created_at, m.created_at) DESC LIMIT $1`, [limit])).rows;
    },
    /** For a purchase whose workflow is no more */
    async endPurchase(sagaId: string): Promise<void> {
      await db.query(
        `UPDATE token_purchase_saga SET status = 'FAILED', failure_reason = 'STEP_FAILED', failure_detail = 'ended by an operator',
                parked_on = NULL, updated_at = now()
          WHERE id = $1 AND status NOT IN ('COMPLETED', 'FAILED')`,
        [sagaId],
      );
    },
  };
}
