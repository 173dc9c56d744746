import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import type { PurchaseActivityDeps } from '../../activities/purchase.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { createPurchaseEngine } from '../../adapters/temporal/purchases.js';
import type { Temporal } from '../../adapters/temporal/connection.js';
import { makeOrder } from '../../api/tokens/purchase-orders.js';
import { PURCHASE_MESSAGES, workflowIds, type PurchaseOrder, type PurchaseState } from '../../contracts/temporal.js';
import { createWorker, type RunningWorker } from '../../workers/create-worker.js';
import { readUntil } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { saveHistory } from '../support/recording.js';
import { withTemporal } from '../support/temporal.js';
import { activitiesOn } from './activities.js';

export function orderOf(over: Partial<PurchaseOrder> & { method?: string } = {}): PurchaseOrder {
  const { method = 'sim_approve', ...rest } = over;
  const body = { userId: rest.userId ?? randomUUID(), provider: 'openai' as const, tokens: rest.tokens ?? 5_000 };
  const terms = { paymentMethod: method, idempotencyKey: null, correlationId: randomUUID(), limitSeconds: 60 };
  return { ...makeOrder(body, { ...terms, approvalAboveTokens: Number.MAX_SAFE_INTEGER, now: new Date() }), ...rest };
}

export interface Bench {
  temporal: () => Temporal;
  pool: () => Database;
  databaseUrl: () => string;
  /** Of this bench alone, so that no other file's worker takes its work */
  taskQueue: string;
  start: (order: PurchaseOrder) => Promise<void>;
  /** Waits for the end and holds every law of a purchase that has ended. `kind` names the recorded history. */
  ended: (order: PurchaseOrder, kind?: string) => Promise<PurchaseState>;
  status: (order: PurchaseOrder) => Promise<PurchaseState>;
  /** Polls the `status` query until it fits */
  until: (order: PurchaseOrder, fits: (state: PurchaseState) => boolean, what: string) => Promise<PurchaseState>;
  handle: (order: PurchaseOrder) => ReturnType<Temporal['client']['workflow']['getHandle']>;
  record: (handle: Pick<ReturnType<Bench['handle']>, 'fetchHistory'>, kind: string) => Promise<void>;
  work: (swapped?: Partial<PurchaseActivityDeps>) => Promise<RunningWorker>;
}

const PATIENCE_MS = 45_000;

/** A database, a dev server and, unless told otherwise, a worker for the enclosing `describe`. */
export function withBench({ worker = true } = {}): Bench {
  const database = withDatabase();
  const temporal = withTemporal();
  const taskQueue = `quota-purchase-${randomBytes(4).toString('hex')}`;
  const running: RunningWorker[] = [];
  const pool = () => database().pool;
  const handle = (order: PurchaseOrder) => temporal().client.workflow.getHandle(workflowIds.purchase(order.sagaId));
  const status = (order: PurchaseOrder) => handle(order).query<PurchaseState, []>(PURCHASE_MESSAGES.status);

  async function work(swapped: Partial<PurchaseActivityDeps> = {}): Promise<RunningWorker> {
    const { connection, namespace } = temporal();
    const activities = activitiesOn(pool(), swapped);
    const started = await createWorker({ connection, namespace, taskQueue, activities, shutdownGraceMs: 1_000 });
    running.push(started);
    await started.polled();
    return started;
  }

  before('a purchase worker', async function () {
    this.timeout(PATIENCE_MS);
    if (worker) await work();
  });
  after('stop the workers', async function () {
    this.timeout(PATIENCE_MS);
    await Promise.all(running.map((each) => each.stop()));
  });

  return {
    temporal,
    pool,
    databaseUrl: () => database().url,
    taskQueue,
    handle,
    status,
    work,
    record,
    async start(order) {
      const engine = createPurchaseEngine({ client: temporal().client, taskQueue });
      assert.equal(await engine.start(order), 'STARTED');
    },
    async ended(order, kind) {
      const state = (await handle(order).result()) as PurchaseState;
      if (kind) await record(handle(order), kind);
      await holdLaws(pool(), order, state);
      return state;
    },
    until: (order, fits, what) => readUntil(what, () => status(order), fits),
  };
}

export interface PaymentRow {
  state: string;
  captures: number;
  refunds: number;
}

export async function paymentOf(pool: Database, order: PurchaseOrder): Promise<PaymentRow | null> {
  const { rows } = await pool.query<PaymentRow>('SELECT state, captures, refunds FROM sim_payments WHERE payment_key = $1', [order.sagaId]);
  return rows[0] ?? null;
}

export async function callsOf(pool: Database, order: PurchaseOrder, operation: string): Promise<string[]> {
  const { rows } = await pool.query<{ call: string }>(
    `SELECT effect || '/' || answer AS call FROM sim_payment_calls WHERE payment_key = $1 AND operation = $2 ORDER BY id`,
    [order.sagaId, operation],
  );
  return rows.map(({ call }) => call);
}

export async function eventsOf(pool: Database, order: PurchaseOrder): Promise<string[]> {
  const { rows } = await pool.query<{ type: string }>('SELECT type FROM purchase_events WHERE saga_id = $1 ORDER BY occurred_at, id', [
    order.sagaId,
  ]);
  return rows.map(({ type }) => type);
}

/** Captured at most once; captured ⇔ posted, unless refunded; nothing pending, nothing held; row, result and event agree. */
async function holdLaws(pool: Database, order: PurchaseOrder, state: PurchaseState): Promise<void> {
  const payment = await paymentOf(pool, order);
  const calls = await pool.query(`SELECT 1 FROM sim_payment_calls WHERE payment_key = $1 AND effect = 'CAPTURED'`, [order.sagaId]);
  const allocation = await pool.query<{ state: string }>('SELECT state FROM allocations WHERE saga_id = $1', [order.sagaId]);
  const row = await pool.query<{ status: string; reason: string | null; parked: string | null }>(
    'SELECT status, failure_reason AS reason, parked_on AS parked FROM token_purchase_saga WHERE id = $1',
    [order.sagaId],
  );
  const posted = allocation.rows[0]?.state === 'POSTED';
  assert.ok((payment?.captures ?? 0) <= 1, 'captured at most once');
  assert.equal(calls.rowCount, payment?.captures ?? 0, 'the log of calls knows as many captures as the books');
  assert.equal(posted, payment?.state === 'CAPTURED', 'tokens are spendable exactly when the money was kept');
  assert.notEqual(payment?.state, 'AUTHORIZED', 'no hold outlives the purchase');
  assert.notEqual(allocation.rows[0]?.state, 'PENDING', 'no allocation outlives the purchase');
  assert.deepEqual(row.rows, [{ status: state.status, reason: state.failureReason, parked: null }]);
  assert.equal(posted, state.status === 'COMPLETED');
  assert.deepEqual(state.pendingCompensations, []);
  assert.ok((await eventsOf(pool, order)).includes(`TOKEN_PURCHASE_${state.status}`));
}

/** With LEAKY_RECORD_HISTORIES=1 the histories of the tests become the recordings that the replay test runs. */
async function record(handle: Pick<ReturnType<Bench['handle']>, 'fetchHistory'>, kind: string): Promise<void> {
  if (process.env.LEAKY_RECORD_HISTORIES !== '1') return;
  saveHistory(`purchase-3-${kind}`, await handle.fetchHistory());
}
