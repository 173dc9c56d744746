import Stripe from 'stripe';
import {
  PaymentOutcomeUnknown,
  type Payment,
  type PaymentMethods,
  type PaymentOutcome,
  type Payments,
  type UndoOutcome,
} from '../../activities/purchase-ports.js';

export interface StripeOptions {
  apiKey: string;
  /** Unset: Stripe's own address */
  baseUrl?: string | undefined;
}

/** Below the step's own time-out, so that a silent Stripe is an unknown outcome and not a dead worker. */
const TIMEOUT_MS = 10_000;
/** Reads again when another call changed the payment between our read and our write; each such change is towards an end. */
const MAX_RACES = 4;

type Intent = Stripe.PaymentIntent;

/**
 * Stripe with separate authorisation and capture. A payment is one PaymentIntent, found again by repeating its creation under the idempotency
 * key `{key}:create` (Stripe keeps keys for at least 24 h). Creations carry keys, as they make new objects; confirm, capture and
 * cancel need none: the intent's own state lets each happen once, and a stored 500 of a key could never be overcome.
 * The payment method is named at the confirmation only, so that a bad one cannot keep `undo` from finding the intent.
 */
export function createStripePayments({ apiKey, baseUrl }: StripeOptions): Payments {
  const stripe = new Stripe(apiKey, { maxNetworkRetries: 0, timeout: TIMEOUT_MS, telemetry: false, ...addressOf(baseUrl) });

  const create = ({ key, amountCents, description }: Payment) =>
    stripe.paymentIntents.create(
      {
        amount: amountCents,
        currency: 'usd',
        capture_method: 'manual',
        // Nobody is there to be redirected: methods that need it are out.
        automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
        description,
        metadata: { leaky_saga_id: key },
      },
      { idempotencyKey: `${key}:create` },
    );
  /** The creation's answer is the one of the first call; this is the intent as it stands. */
  const current = async (payment: Payment) => stripe.paymentIntents.retrieve((await create(payment)).id, { expand: ['latest_charge'] });

  async function reserve(payment: Payment): Promise<PaymentOutcome> {
    for (let race = 0; race < MAX_RACES; race++) {
      const intent = await current(payment);
      if (isHeld(intent)) return { ok: true };
      if (intent.status !== 'requires_payment_method' && intent.status !== 'requires_confirmation') return declined(intent);
      if (intent.last_payment_error) return { ok: false, detail: intent.last_payment_error.message ?? 'declined' };
      const confirmed = await unlessOvertaken(stripe.paymentIntents.confirm(intent.id, { payment_method: payment.method }));
      if (confirmed) return confirmed.status === 'requires_capture' ? { ok: true } : declined(confirmed);
    }
    throw new PaymentOutcomeUnknown('The payment keeps changing');
  }

  async function capture(payment: Payment): Promise<PaymentOutcome> {
    for (let race = 0; race < MAX_RACES; race++) {
      const intent = await current(payment);
      if (intent.status === 'succeeded') return isRefunded(intent) ? { ok: false, detail: 'refunded before' } : { ok: true };
      if (intent.status !== 'requires_capture') return declined(intent);
      const captured = await unlessOvertaken(stripe.paymentIntents.capture(intent.id));
      if (captured) return captured.status === 'succeeded' ? { ok: true } : declined(captured);
    }
    throw new PaymentOutcomeUnknown('The payment keeps changing');
  }

  async function undo(payment: Payment): Promise<UndoOutcome> {
    for (let race = 0; race < MAX_RACES; race++) {
      const intent = await current(payment);
      if (intent.status === 'canceled') return 'NOTHING';
      if (intent.status === 'succeeded') {
        if (!isRefunded(intent)) await stripe.refunds.create({ payment_intent: intent.id }, { idempotencyKey: `${payment.key}:refund` });
        return 'REFUNDED';
      }
      if (await unlessOvertaken(stripe.paymentIntents.cancel(intent.id))) return isHeld(intent) ? 'RELEASED' : 'NOTHING';
    }
    throw new PaymentOutcomeUnknown('The payment keeps changing');
  }

  return {
    reserve: (payment) =>
      judged(
        () => reserve(payment),
        (detail) => ({ ok: false, detail }),
      ),
    capture: (payment) =>
      judged(
        () => capture(payment),
        (detail) => ({ ok: false, detail }),
      ),
    undo: (payment) => judged(() => undo(payment)),
  };
}

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

const isHeld = (intent: Intent) => intent.status === 'requires_capture' || (intent.status === 'succeeded' && !isRefunded(intent));

/** Needs `latest_charge` expanded. */
const isRefunded = ({ latest_charge: charge }: Intent) => typeof charge === 'object' && charge !== null && charge.refunded;

const declined = (intent: Intent): PaymentOutcome => {
  if (intent.status === 'processing') throw new PaymentOutcomeUnknown('Stripe is still processing the payment');
  const detail = intent.status === 'requires_action' ? 'the payment needs an action of the buyer' : `the payment is ${intent.status}`;
  return { ok: false, detail: intent.last_payment_error?.message ?? detail };
};

/** Null when the intent has moved on since it was read: read it again. */
async function unlessOvertaken<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'payment_intent_unexpected_state') return null;
    throw error;
  }
}

/**
 * A declined card and a request that Stripe will never accept (unknown method, amount too small) are answers where `refusal` makes them one;
 * everything else leaves the outcome open.
 */
async function judged<T>(work: () => Promise<T>, refusal?: (detail: string) => T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const final = error instanceof Stripe.errors.StripeCardError || error instanceof Stripe.errors.StripeInvalidRequestError;
    if (final && refusal) return refusal(error.message);
    if (error instanceof Stripe.errors.StripeError) throw new PaymentOutcomeUnknown(`Stripe: ${error.message}`, { cause: error });
    throw error;
  }
}

function addressOf(baseUrl: string | undefined) {
  if (baseUrl === undefined) return {};
  const { protocol, hostname, port } = new URL(baseUrl);
  const name = protocol === 'http:' ? 'http' : 'https';
  return { protocol: name, host: hostname, port: Number(port) || (name === 'http' ? 80 : 443) } as const;
}
