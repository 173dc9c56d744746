import type { PaymentRecord, PaymentRecords } from '../../activities/purchase-ports.js';
import type { PaymentProvider } from '../../domain/payments.js';
import type { Database } from './pool.js';

const RECORD = `payment_id AS "paymentId", asked_at AS "askedAt", creations, closed_at IS NOT NULL AS closed,
  (extract(epoch FROM now() - asked_at) * 1000)::float8 AS "ageMs"`;

/** Ages are by the database's clock, which all writers share. */
export function createPaymentRecords(db: Database, provider: PaymentProvider): PaymentRecords {
  async function one(text: string, values: unknown[]): Promise<PaymentRecord> {
    const { rows } = await db.query<PaymentRecord>(text, values);
    const [row] = rows;
    if (!row) throw new Error(`The payment of purchase ${String(values[0])} has no record`);
    return row;
  }

  return {
    async find(sagaId) {
      const { rows } = await db.query<PaymentRecord>(`SELECT ${RECORD} FROM payments WHERE saga_id = $1`, [sagaId]);
      return rows[0] ?? null;
    },

    ask: (sagaId, askedSince) =>
      one(
        `INSERT INTO payments (saga_id, provider, asked_at, creations) VALUES ($1, $2, coalesce($3, now()), CASE WHEN $3::timestamptz IS NULL THEN 1 ELSE 2 END)
         ON CONFLICT (saga_id) DO UPDATE SET creations = payments.creations + 1, updated_at = now(),
            asked_at = CASE WHEN payments.creations = 0 THEN now() ELSE payments.asked_at END
         RETURNING ${RECORD}`,
        [sagaId, provider, askedSince],
      ),

    learn: (sagaId, paymentId) =>
      one(`UPDATE payments SET payment_id = coalesce(payment_id, $2), updated_at = now() WHERE saga_id = $1 RETURNING ${RECORD}`, [
        sagaId,
        paymentId,
      ]),

    close: (sagaId, askedSince) =>
      one(
        `INSERT INTO payments (saga_id, provider, asked_at, creations, closed_at)
         VALUES ($1, $2, coalesce($3, now()), CASE WHEN $3::timestamptz IS NULL THEN 0 ELSE 1 END, now())
         ON CONFLICT (saga_id) DO UPDATE SET closed_at = coalesce(payments.closed_at, now()), updated_at = now()
         RETURNING ${RECORD}`,
        [sagaId, provider, askedSince],
      ),
  };
}
