import Stripe from 'stripe';
import {
  PaymentOutcomeUnknown,
  type Payment,
  type PaymentMethods,
  type PaymentOutcome,
  type PaymentRecord,
  type PaymentRecords,
  type Payments,
  type UndoOutcome,
} from '../../activities/purchase-ports.js';
import { isHeld, isRefunded, type Intent, type StripeIntents } from './stripe-intents.js';

/** Stripe keeps idempotency keys for at least 24 h; after this, repeating a creation could make a second payment. */
const KEY_LIFE_MS = 20 * 3_600_000;
const MAX_RACES = 4;

/**
 * Stripe with separate authorisation and capture: a payment is one PaymentIntent.
 *
 *   record that it is asked for → create → record its id → confirm (holds the money) → capture | end (cancel or refund)
 *
 * Whatever comes later finds the intent by the recorded id, so that nothing depends on how long Stripe keeps idempotency keys. Where the answer
 * to the creation was lost, the id is learnt by search and list, or by repeating the creation while its key is surely kept. That
 * nothing is found proves nothing: the outcome then stays unknown, and the purchase open, until an operator looks.
 */
export function createStripePayments(intents: StripeIntents, records: PaymentRecords): Payments {
  /** The intent that counts, when Stripe shows some; all others of the same purchase are ended. Null: it shows none. */
  async function adopt(key: string, since: Date): Promise<PaymentRecord | null> {
    const found = (await intents.ofSaga(key, since)).sort((a, b) => rank(b) - rank(a) || a.created - b.created);
    const [first] = found;
    if (!first) return null;
    const record = await records.learn(key, first.id);
    for (const { id } of found) if (id !== record.paymentId) await intents.end(id);
    return record;
  }

  /** Makes the intent, once. */
  async function created(payment: Payment): Promise<PaymentRecord> {
    const asked = await records.ask(payment.key, payment.unrecordedSince);
    if (asked.closed || asked.paymentId !== null) return asked;
    const earlier = asked.creations > 1 ? await adopt(payment.key, asked.askedAt) : null;
    return earlier ?? createdNow(payment, asked);
  }

  async function createdNow(payment: Payment, { ageMs }: PaymentRecord): Promise<PaymentRecord> {
    if (ageMs > KEY_LIFE_MS) throw new PaymentOutcomeUnknown(UNLEARNT);
    const { id } = await intents.create(payment);
    const record = await records.learn(payment.key, id);
    // Another call was quicker, and Stripe has forgotten the key meanwhile.
    if (record.paymentId !== id) await intents.end(id);
    return record;
  }

  async function reserve(payment: Payment): Promise<PaymentOutcome> {
    const kept = payment.paymentId === null ? await records.find(payment.key) : null;
    const record = kept?.paymentId || kept?.closed ? kept : null;
    const { paymentId, closed } = record ?? (payment.paymentId === null ? await created(payment) : { ...payment, closed: false });
    if (closed || paymentId === null) return ended(paymentId);
    for (let race = 0; race < MAX_RACES; race++) {
      const intent = await intents.read(paymentId);
      if (isHeld(intent)) return { ok: true, paymentId };
      if (intent.status !== 'requires_payment_method' && intent.status !== 'requires_confirmation') return refuse(payment, intent);
      if (intent.last_payment_error) return refuse(payment, intent);
      try {
        const confirmed = await intents.confirm(paymentId, payment.method);
        if (confirmed?.status === 'requires_capture') return { ok: true, paymentId };
        if (confirmed) return await refuse(payment, confirmed);
      } catch (error) {
        if (isFinal(error)) return refuse(payment, intent, error.message);
        throw error;
      }
    }
    throw new PaymentOutcomeUnknown('The payment keeps changing');
  }

  /** A payment that was released, before or while it was made. What it has become is ended here, if nobody else did. */
  async function ended(paymentId: string | null): Promise<PaymentOutcome> {
    if (paymentId === null) return { ok: false, detail: 'the payment has been released before' };
    await intents.end(paymentId);
    return { ok: false, detail: declineOf(await intents.read(paymentId)) };
  }

  /** Declined is an answer only once the intent can hold nothing any more. */
  async function refuse(payment: Payment, intent: Intent, detail = declineOf(intent)): Promise<PaymentOutcome> {
    await records.close(payment.key, payment.unrecordedSince);
    await intents.end(intent.id);
    return { ok: false, detail };
  }

  /** @throws PaymentOutcomeUnknown when the id is not known and cannot be learnt */
  async function idOf({ key, paymentId, unrecordedSince }: Payment): Promise<string> {
    if (paymentId !== null) return paymentId;
    const record = await records.find(key);
    if (record?.paymentId) return record.paymentId;
    const since = record?.askedAt ?? unrecordedSince;
    if (!record && since) await records.ask(key, since);
    const found = since && (await adopt(key, since));
    if (!found?.paymentId) throw new PaymentOutcomeUnknown(UNLEARNT);
    return found.paymentId;
  }

  async function capture(payment: Payment): Promise<PaymentOutcome> {
    const known = payment.paymentId === null ? await records.find(payment.key) : null;
    if (known?.closed && known.paymentId === null) return { ok: false, detail: 'the payment has been released before' };
    const id = await idOf(payment);
    for (let race = 0; race < MAX_RACES; race++) {
      const intent = await intents.read(id);
      if (intent.status === 'succeeded') return isRefunded(intent) ? { ok: false, detail: 'refunded before' } : { ok: true };
      if (intent.status !== 'requires_capture') return { ok: false, detail: declineOf(intent) };
      const captured = await intents.capture(id);
      if (captured) return captured.status === 'succeeded' ? { ok: true } : { ok: false, detail: declineOf(captured) };
    }
    throw new PaymentOutcomeUnknown('The payment keeps changing');
  }

  async function undo(payment: Payment): Promise<UndoOutcome> {
    const { key, unrecordedSince } = payment;
    const record = await records.close(key, unrecordedSince);
    const known = payment.paymentId ?? record.paymentId;
    if (known !== null) {
      const outcome = await intents.end(known);
      // A creation that was asked for twice may have been carried out twice.
      if (record.creations > 1) await adopt(key, record.askedAt);
      return outcome;
    }
    const { paymentId } = (await adopt(key, record.askedAt)) ?? (record.creations === 0 ? record : await createdNow(payment, record));
    return paymentId === null ? 'NOTHING' : intents.end(paymentId);
  }

  return {
    reserve: (payment) => judged(() => reserve(payment), declined),
    capture: (payment) => judged(() => capture(payment), declined),
    undo: (payment) => judged(() => undo(payment)),
  };
}

const UNLEARNT =
  'The answer to the creation of the payment was lost, and Stripe shows no payment of this purchase: look for its id in the metadata leaky_saga_id';

/** Stripe's minimum charge in US dollars: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts */
const MINIMUM_CENTS = 50;

export const stripeMethods: PaymentMethods = {
  provider: 'stripe',
  simulated: false,
  minimumCents: MINIMUM_CENTS,
  choices: [{ id: 'pm_…', label: 'The id of a Stripe payment method' }],
  fallback: '',
  fault: (method) => (/^pm_\w{3,90}$/.test(method) ? null : 'the id of a Stripe payment method (pm_…) is required'),
};

const declined = (detail: string): PaymentOutcome => ({ ok: false, detail });

/** Money first: of several intents of one purchase the one that has moved most is the one that counts. */
const rank = (intent: Intent): number => (isHeld(intent) ? (intent.status === 'succeeded' ? 3 : 2) : intent.status === 'canceled' ? 0 : 1);

/** @throws PaymentOutcomeUnknown while Stripe has not decided */
function declineOf(intent: Intent): string {
  if (intent.status === 'processing') throw new PaymentOutcomeUnknown('Stripe is still processing the payment');
  const detail = intent.status === 'requires_action' ? 'the payment needs an action of the buyer' : `the payment is ${intent.status}`;
  return intent.last_payment_error?.message ?? detail;
}

/** A declined card, and a request that Stripe will never accept: unknown method, amount too small */
const isFinal = (error: unknown): error is Error =>
  error instanceof Stripe.errors.StripeCardError || error instanceof Stripe.errors.StripeInvalidRequestError;

/** What is final is an answer where `refusal` makes it one; everything else leaves the outcome open. */
async function judged<T>(work: () => Promise<T>, refusal?: (detail: string) => T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isFinal(error) && refusal) return refusal(error.message);
    if (error instanceof Stripe.errors.StripeError) throw new PaymentOutcomeUnknown(`Stripe: ${error.message}`, { cause: error });
    throw error;
  }
}
