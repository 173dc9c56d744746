import { setTimeout as delay } from 'node:timers/promises';
import { PaymentOutcomeUnknown, type Payment, type PaymentOutcome, type Payments } from '../../activities/purchase-ports.js';
import { inTransaction, type Connection, type Database } from '../postgres/pool.js';
import { parseMethod, type SimulatedMethod } from './simulated-methods.js';

type Operation = 'RESERVE' | 'CAPTURE' | 'UNDO';
type State = 'DECLINED' | 'AUTHORIZED' | 'CAPTURED' | 'RELEASED' | 'REFUNDED';
type Effect = 'NONE' | State;
type Answer = 'OK' | 'DECLINED' | 'TIMEOUT' | 'ERROR';

/** What one call did to the books and what its caller gets to see; `delayMs` passes before the answer. */
interface Turn {
  effect: Effect;
  answer: Answer;
  state: State;
  delayMs?: number;
}

const DECLINES: Record<State, string> = {
  DECLINED: 'the payment method was declined',
  AUTHORIZED: 'the capture was declined',
  CAPTURED: 'declined',
  RELEASED: 'the payment has been released before',
  REFUNDED: 'the payment has been refunded before',
};

/**
 * A payment provider with real books in PostgreSQL: it survives crashes of the program like a real one, and can be audited. The change
 * to the books and the log of the call commit together before any answer, late answer or lost answer.
 */
export function createPaymentSimulator(pool: Database): Payments {
  async function call(payment: Payment, operation: Operation, signal: AbortSignal | undefined): Promise<Turn> {
    const method = parseMethod(payment.method);
    if (!method) throw new RangeError(`The simulator has no payment method ${payment.method}`);
    const turn = await inTransaction(pool, async (connection) => {
      const done = await TURNS[operation](connection, payment, method, (answer) => countCalls(connection, payment.key, operation, answer));
      await connection.query('INSERT INTO sim_payment_calls (payment_key, operation, effect, answer) VALUES ($1, $2, $3, $4)', [
        payment.key,
        operation,
        done.effect,
        done.answer,
      ]);
      return done;
    });
    if (turn.delayMs) await delay(turn.delayMs, undefined, signal && { signal });
    if (turn.answer === 'TIMEOUT') throw new PaymentOutcomeUnknown(`The simulated ${operation.toLowerCase()} got no answer`);
    if (turn.answer === 'ERROR') throw new PaymentOutcomeUnknown(`The simulated ${operation.toLowerCase()} failed with a server error`);
    return turn;
  }

  const outcome = (turn: Turn): PaymentOutcome => (turn.answer === 'OK' ? { ok: true } : { ok: false, detail: DECLINES[turn.state] });

  return {
    reserve: async (payment, signal) => outcome(await call(payment, 'RESERVE', signal)),
    capture: async (payment, signal) => outcome(await call(payment, 'CAPTURE', signal)),
    undo: async (payment, signal) => {
      const { state, effect } = await call(payment, 'UNDO', signal);
      if (state === 'REFUNDED') return 'REFUNDED';
      return effect === 'NONE' ? 'NOTHING' : 'RELEASED';
    },
  };
}

type CallCount = (answer?: Answer) => Promise<number>;
type TakeTurn = (connection: Connection, payment: Payment, method: SimulatedMethod, earlier: CallCount) => Promise<Turn>;

const TURNS: Record<Operation, TakeTurn> = {
  async RESERVE(connection, payment, { behaviour, number }, earlier) {
    const state = behaviour === 'sim_decline' ? 'DECLINED' : 'AUTHORIZED';
    const isNew = await insertPayment(connection, payment, state);
    const now = isNew ? state : await lockedState(connection, payment);
    const answer = now === 'AUTHORIZED' || now === 'CAPTURED' ? 'OK' : 'DECLINED';
    const effect = isNew ? state : 'NONE';
    if (behaviour === 'sim_timeout_reserve' && (await earlier('TIMEOUT')) < number) return { effect, answer: 'TIMEOUT', state: now };
    return { effect, answer, state: now, delayMs: behaviour === 'sim_slow' && (await earlier()) === 0 ? number : 0 };
  },

  async CAPTURE(connection, payment, { behaviour, number }, earlier) {
    const before = await lockedState(connection, payment);
    const refuses = behaviour === 'sim_capture_fails' || behaviour === 'sim_release_fails';
    if (before !== 'CAPTURED' && (before !== 'AUTHORIZED' || refuses)) return { effect: 'NONE', answer: 'DECLINED', state: before };
    const effect = before === 'AUTHORIZED' ? 'CAPTURED' : 'NONE';
    if (effect === 'CAPTURED') await moveTo(connection, payment.key, effect);
    const lost = behaviour === 'sim_capture_timeout' || (behaviour === 'sim_timeout' && (await earlier('TIMEOUT')) < number);
    if (lost) return { effect, answer: 'TIMEOUT', state: 'CAPTURED' };
    return { effect, answer: 'OK', state: 'CAPTURED', delayMs: behaviour === 'sim_slow_capture' && (await earlier()) === 0 ? number : 0 };
  },

  async UNDO(connection, payment, { behaviour, number }, earlier) {
    if (behaviour === 'sim_release_fails' && (await earlier('ERROR')) < number) {
      return { effect: 'NONE', answer: 'ERROR', state: 'AUTHORIZED' };
    }
    // A payment that never arrived is written as RELEASED, so that a late reserve finds it and holds nothing.
    if (await insertPayment(connection, payment, 'RELEASED')) return { effect: 'NONE', answer: 'OK', state: 'RELEASED' };
    const before = await lockedState(connection, payment);
    if (before !== 'AUTHORIZED' && before !== 'CAPTURED') return { effect: 'NONE', answer: 'OK', state: before };
    const after = before === 'CAPTURED' ? 'REFUNDED' : 'RELEASED';
    await moveTo(connection, payment.key, after);
    return { effect: after, answer: 'OK', state: after };
  },
};

async function insertPayment(connection: Connection, payment: Payment, state: State): Promise<boolean> {
  const { rowCount } = await connection.query(
    'INSERT INTO sim_payments (payment_key, amount_cents, method, state) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
    [payment.key, payment.amountCents, payment.method, state],
  );
  return rowCount === 1;
}

/** Locks the payment until the transaction ends: calls about one payment take turns. */
async function lockedState(connection: Connection, payment: Payment): Promise<State> {
  const { rows } = await connection.query<{ state: State; amountCents: number }>(
    'SELECT state, amount_cents AS "amountCents" FROM sim_payments WHERE payment_key = $1 FOR UPDATE',
    [payment.key],
  );
  const [row] = rows;
  if (!row) throw new Error(`The simulator knows no payment ${payment.key}`);
  if (row.amountCents !== payment.amountCents) throw new Error(`Payment ${payment.key} was reserved with another amount`);
  return row.state;
}

async function moveTo(connection: Connection, key: string, state: 'CAPTURED' | 'RELEASED' | 'REFUNDED'): Promise<void> {
  await connection.query(
    `UPDATE sim_payments SET state = $2, updated_at = now(),
            captures = captures + ($2 = 'CAPTURED')::int, refunds = refunds + ($2 = 'REFUNDED')::int
      WHERE payment_key = $1`,
    [key, state],
  );
}

async function countCalls(connection: Connection, key: string, operation: Operation, answer?: Answer): Promise<number> {
  const { rows } = await connection.query<{ calls: number }>(
    'SELECT count(*) AS calls FROM sim_payment_calls WHERE payment_key = $1 AND operation = $2 AND ($3::text IS NULL OR answer = $3)',
    [key, operation, answer ?? null],
  );
  return rows[0]?.calls ?? 0;
}
