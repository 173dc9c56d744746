import type { SagaHead, SagaStore } from '../../activities/purchase-ports.js';
import type { PurchaseFailure, SagaStatus } from '../../contracts/temporal.js';
import type { PurchaseReader, PurchaseRecord } from '../../api/tokens/purchase-ports.js';
import type { Database } from './pool.js';

const HEAD = `status, run_id AS "runId", failure_reason AS "failureReason", failure_detail AS "failureDetail"`;

const INSERT = `INSERT INTO token_purchase_saga (id, user_id, org_id, provider, tokens, amount_cents, payment_method, idempotency_key,
    payload_hash, status, failure_reason, failure_detail, correlation_id, workflow_id, run_id, created_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`;

/** In this order; FAILED is outside of it: a row never leaves FAILED and never moves back. */
const FORWARD: SagaStatus[] = ['STARTED', 'PAYMENT_RESERVED', 'TOKENS_ALLOCATED', 'COMPLETED'];

const insertValues = (...[order, owner, reason, detail]: [...Parameters<SagaStore['open']>, PurchaseFailure | null, string | null]) => [
  order.sagaId,
  order.userId,
  order.orgId,
  order.provider,
  order.tokens,
  order.amountCents,
  order.paymentMethod,
  order.idempotencyKey,
  order.payloadHash,
  reason === null ? 'STARTED' : 'FAILED',
  reason,
  detail,
  order.correlationId,
  owner.workflowId,
  owner.runId,
  order.createdAt,
];

/** Writes by the purchase's activities; see the port for the laws. */
export function createSagaStore(pool: Database): SagaStore {
  return {
    async open(order, owner) {
      // The conflict branch changes nothing: it makes RETURNING answer the row that is there.
      const { rows } = await pool.query<SagaHead>(
        `${INSERT} ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING ${HEAD}`,
        insertValues(order, owner, null, null),
      );
      return one(rows, order.sagaId);
    },

    async advance(sagaId, status) {
      const { rows } = await pool.query<{ status: SagaStatus }>(
        `UPDATE token_purchase_saga
            SET status = CASE WHEN array_position($3::text[], status) < array_position($3::text[], $2) THEN $2 ELSE status END,
                updated_at = now()
          WHERE id = $1 RETURNING status`,
        [sagaId, status, FORWARD],
      );
      return one(rows, sagaId).status;
    },

    async fail(order, owner, reason, detail) {
      await pool.query(
        `${INSERT} ON CONFLICT (id) DO UPDATE
            SET status = 'FAILED', failure_reason = excluded.failure_reason, failure_detail = excluded.failure_detail,
                parked_on = NULL, updated_at = now()
          WHERE token_purchase_saga.status NOT IN ('COMPLETED', 'FAILED')`,
        insertValues(order, owner, reason, detail),
      );
    },

    async touch(sagaId) {
      await pool.query('UPDATE token_purchase_saga SET updated_at = now() WHERE id = $1', [sagaId]);
    },

    async setParked(sagaId, parkedOn) {
      await pool.query('UPDATE token_purchase_saga SET parked_on = $2, updated_at = now() WHERE id = $1', [sagaId, parkedOn]);
      const { rows } = await pool.query<{ parked: number }>(
        'SELECT count(*) AS parked FROM token_purchase_saga WHERE parked_on IS NOT NULL',
      );
      return rows[0]?.parked ?? 0;
    },
  };
}

const RECORD = `id, user_id AS "userId", org_id AS "orgId", provider, tokens, amount_cents AS "amountCents", payment_method AS "paymentMethod",
  idempotency_key AS "idempotencyKey", payload_hash AS "payloadHash", status, failure_reason AS "failureReason",
  failure_detail AS "failureDetail", parked_on AS "parkedOn", correlation_id AS "correlationId", workflow_id AS "workflowId",
  created_at AS "createdAt", updated_at AS "updatedAt"`;

/** Reads for the API. */
export function createPurchaseReader(pool: Database): PurchaseReader {
  return {
    async find(sagaId) {
      const { rows } = await pool.query<PurchaseRecord>(`SELECT ${RECORD} FROM token_purchase_saga WHERE id = $1`, [sagaId]);
      return rows[0] ?? null;
    },

    async newest({ userId, orgId }, limit, before) {
      const { rows } = await pool.query<PurchaseRecord>(
        `SELECT ${RECORD} FROM token_purchase_saga
          WHERE ($4::uuid IS NULL OR user_id = $4) AND ($5::uuid IS NULL OR org_id = $5)
            AND ($1::timestamptz IS NULL OR (created_at, id) < ($1::timestamptz, $2::uuid))
          ORDER BY created_at DESC, id DESC LIMIT $3`,
        [before?.createdAt ?? null, before?.id ?? null, limit, userId, orgId],
      );
      return rows;
    },
  };
}

function one<T>(rows: T[], sagaId: string): T {
  const [row] = rows;
  if (!row) throw new Error(`saga ${sagaId} has no row`);
  return row;
}
