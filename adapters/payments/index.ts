import { PaymentOutcomeUnknown, type Payment, type PaymentMethods, type Payments } from '../../activities/purchase-ports.js';
import type { PaymentBooks } from '../../activities/reconciliation-ports.js';
import { ConfigError, type Config } from '../../config.js';
import { paymentProviderOf } from '../../domain/payments.js';
import { createPaymentRecords } from '../postgres/payments.js';
import type { Database } from '../postgres/pool.js';
import { simulatedMethods } from './simulated-methods.js';
import { createPaymentSimulator } from './simulator.js';
import { createStripeBooks } from './stripe-books.js';
import { createStripeIntents, type StripeIntents } from './stripe-intents.js';
import { createStripePayments, stripeMethods } from './stripe.js';

/**
 * What the API needs: the terms of the configured provider, and which methods callers may name with it.
 * @throws ConfigError when nobody said that payments are simulated where it must be said
 */
export function paymentMethodsOf({ payments }: Pick<Config, 'payments'>): PaymentMethods {
  if (payments.fault !== null) throw new ConfigError(payments.fault);
  return payments.provider === 'stripe' ? stripeMethods : simulatedMethods;
}

/**
 * What the purchase worker needs. Each payment is looked after by the provider that it was begun with, also when another one
 * takes the new ones: open purchases outlive a change of the configuration.
 * @throws ConfigError when Stripe is chosen without its API key, or the simulator by saying nothing where it must be said
 */
export function createPayments(config: Pick<Config, 'payments'>, database: () => Database): Payments {
  if (config.payments.fault !== null) throw new ConfigError(config.payments.fault);
  const intents = stripeIntents(config);
  const simulator = createPaymentSimulator(database());
  const stripe = intents && createStripePayments(intents, createPaymentRecords(database(), 'stripe'));
  const by = ({ method }: Payment): Payments => {
    if (paymentProviderOf(method) === 'simulator') return simulator;
    if (!stripe) throw new PaymentOutcomeUnknown('The payment was begun with Stripe, and LEAKY_STRIPE_API_KEY is not set');
    return stripe;
  };
  return {
    reserve: async (payment, signal) => by(payment).reserve(payment, signal),
    capture: async (payment, signal) => by(payment).capture(payment, signal),
    undo: async (payment, signal) => by(payment).undo(payment, signal),
  };
}

/** What the audit asks, beside the simulator's books, which are in the ledger's database. Null: there is no Stripe here. */
export function createPaymentBooks(config: Pick<Config, 'payments'>): PaymentBooks | null {
  const intents = stripeIntents(config);
  return intents && createStripeBooks(intents);
}

function stripeIntents({ payments: { provider, stripe } }: Pick<Config, 'payments'>): StripeIntents | null {
  if (stripe.apiKey) return createStripeIntents({ apiKey: stripe.apiKey, baseUrl: stripe.baseUrl });
  if (provider === 'stripe') throw new ConfigError('LEAKY_STRIPE_API_KEY: required when LEAKY_PAYMENTS is stripe');
  return null;
}
