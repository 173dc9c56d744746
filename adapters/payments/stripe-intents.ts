import Stripe from 'stripe';
import { PaymentOutcomeUnknown, type Payment } from '../../activities/purchase-ports.js';

export interface StripeOptions {
  apiKey: string;
  /** Unset: Stripe's own address */
  baseUrl?: string | undefined;
}

export type Intent = Stripe.PaymentIntent;

/** Below the step's own time-out, so that a silent Stripe is an unknown outcome and not a dead worker. */
const TIMEOUT_MS = 10_000;
/** Reads again when another call changed the payment between our read and our write; each such change is towards an end. */
const MAX_RACES = 4;
/** Clocks differ, and an answer that was lost may belong to a request from before the record's commit was seen. */
const CLOCK_SKEW_S = 600;
const PAGE = 100;
/** A look through more than this many payments is given up: unknown, not "none" */
const MAX_PAGES = 100;

const SAGA = 'leaky_saga_id';
export const sagaOf = (intent: Intent): string | undefined => intent.metadata[SAGA];

export type StripeIntents = ReturnType<typeof createStripeIntents>;

/**
 * PaymentIntents by what we know of them. Creations carry idempotency keys, as they make new objects; confirm, capture and cancel need
 * none: the intent's own state lets each happen once, and a stored 500 of a key could never be overcome.
 * The payment method is named at the confirmation only, so that a bad one cannot keep an intent from being made and ended.
 */
export function createStripeIntents({ apiKey, baseUrl }: StripeOptions) {
  const settings = { maxNetworkRetries: 0, timeout: TIMEOUT_MS, telemetry: false, ...addressOf(baseUrl) } as const;
  const stripe = new Stripe(apiKey, settings);
  const creating = new Stripe(apiKey, { ...settings, httpClient: withoutRepeats(Stripe.createNodeHttpClient()) });

  /** As it stands. An id that Stripe does not know says that something is wrong, never that there is no payment. */
  async function read(id: string): Promise<Intent> {
    try {
      return await stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });
    } catch (error) {
      if (!isMissing(error)) throw error;
      throw new PaymentOutcomeUnknown(`Stripe does not know ${id}: is the API key one of the same account and mode?`, { cause: error });
    }
  }

  const list = async (params: Stripe.PaymentIntentListParams) => {
    try {
      return await stripe.paymentIntents.list(params);
    } catch (error) {
      // A list that is refused shows nothing, which must not look like an answer about the payment.
      if (error instanceof Stripe.errors.StripeError) throw new PaymentOutcomeUnknown(`Stripe: ${error.message}`, { cause: error });
      throw error;
    }
  };

  async function* listed(created: Stripe.RangeQueryParam): AsyncGenerator<Intent[]> {
    let after: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const found = await list({
        created,
        limit: PAGE,
        expand: ['data.latest_charge'],
        ...(after && { starting_after: after }),
      });
      yield found.data;
      after = found.data.at(-1)?.id;
      if (!found.has_more || after === undefined) return;
    }
    throw new PaymentOutcomeUnknown(`There are more than ${PAGE * MAX_PAGES} payments to look through`);
  }

  /** Stripe's search knows a payment a minute after it was made; not everywhere is it offered. What it finds is true. */
  async function searched(sagaId: string): Promise<Intent[]> {
    try {
      return (await stripe.paymentIntents.search({ query: `metadata['${SAGA}']:'${sagaId}'`, limit: PAGE })).data;
    } catch (error) {
      if (error instanceof Stripe.errors.StripeInvalidRequestError) return [];
      throw error;
    }
  }

  return {
    read,

    /** Under the saga's key: asked again while Stripe keeps keys, it answers the same intent. */
    create: ({ key, amountCents, description }: Payment): Promise<Intent> =>
      creating.paymentIntents.create(
        {
          amount: amountCents,
          currency: 'usd',
          capture_method: 'manual',
          // Nobody is there to be redirected: methods that need it are out.
          automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
          description,
          metadata: { [SAGA]: key },
        },
        { idempotencyKey: `${key}:create` },
      ),

    /** Every intent of a purchase that Stripe shows, by search and by list. None shown does not mean that there is none. */
    async ofSaga(sagaId: string, since: Date): Promise<Intent[]> {
      const ids = new Set((await searched(sagaId)).filter((intent) => sagaOf(intent) === sagaId).map(({ id }) => id));
      if (ids.size === 0) {
        for await (const page of listed({ gte: Math.floor(since.getTime() / 1000) - CLOCK_SKEW_S })) {
          for (const intent of page) if (sagaOf(intent) === sagaId) ids.add(intent.id);
        }
      }
      return Promise.all([...ids].map(read));
    },

    confirm: (id: string, method: string) => unlessOvertaken(stripe.paymentIntents.confirm(id, { payment_method: method })),
    capture: (id: string) => unlessOvertaken(stripe.paymentIntents.capture(id)),

    /** Cancels or refunds, whatever state it is in; answers what it found. */
    async end(id: string): Promise<'NOTHING' | 'RELEASED' | 'REFUNDED'> {
      for (let race = 0; race < MAX_RACES; race++) {
        const intent = await read(id);
        if (intent.status === 'canceled') return 'NOTHING';
        if (intent.status === 'succeeded') {
          if (isRefunded(intent)) return 'REFUNDED';
          const key = `${sagaOf(intent) ?? id}:${id}:refund`;
          if (await unlessOvertaken(stripe.refunds.create({ payment_intent: id }, { idempotencyKey: key }))) return 'REFUNDED';
        } else if (await unlessOvertaken(stripe.paymentIntents.cancel(id))) return isHeld(intent) ? 'RELEASED' : 'NOTHING';
      }
      throw new PaymentOutcomeUnknown('The payment keeps changing');
    },

    /** Page by page, oldest last; every intent of the account, also those that are not ours */
    since: (from: Date | null) => listed({ gte: from ? Math.floor(from.getTime() / 1000) : 0 }),
  };
}

export const isHeld = (intent: Intent) => intent.status === 'requires_capture' || (intent.status === 'succeeded' && !isRefunded(intent));

/** Needs `latest_charge` expanded. */
export const isRefunded = ({ latest_charge: charge }: Intent) => typeof charge === 'object' && charge !== null && charge.refunded;

const OVERTAKEN = ['payment_intent_unexpected_state', 'charge_already_refunded'];

/** Null when the intent has moved on since it was read: read it again. */
async function unlessOvertaken<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof Stripe.errors.StripeInvalidRequestError && OVERTAKEN.includes(error.code ?? '')) return null;
    throw error;
  }
}

const isMissing = (error: unknown) => error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'resource_missing';

/**
 * The library repeats a request once whose connection was closed, whatever `maxNetworkRetries` says. A creation that it repeats by itself
 * is one that nobody has recorded: with the code of the error gone it is sent once, and the step looks before it asks again.
 */
function withoutRepeats(client: Stripe.HttpClient): Stripe.HttpClient {
  const send = client.makeRequest.bind(client);
  client.makeRequest = (...request) =>
    send(...request).catch((error: NodeJS.ErrnoException) => {
      throw new Error(error.message, { cause: error });
    });
  return client;
}

function addressOf(baseUrl: string | undefined) {
  if (baseUrl === undefined) return {};
  const { protocol, hostname, port } = new URL(baseUrl);
  const name = protocol === 'http:' ? 'http' : 'https';
  return { protocol: name, host: hostname, port: Number(port) || (name === 'http' ? 80 : 443) } as const;
}
