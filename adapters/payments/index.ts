import type { PaymentMethods, Payments } from '../../activities/purchase-ports.js';
import { ConfigError, type Config } from '../../config.js';
import type { Database } from '../postgres/pool.js';
import { simulatedMethods } from './simulated-methods.js';
import { createPaymentSimulator } from './simulator.js';
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
 * What the purchase worker needs: the configured provider.
 * @throws ConfigError when Stripe is chosen without its API key, or the simulator by saying nothing where it must be said
 */
export function createPayments(config: Pick<Config, 'payments'>, database: () => Database): Payments {
  const { provider, fault, stripe } = config.payments;
  if (fault !== null) throw new ConfigError(fault);
  if (provider === 'simulator') return createPaymentSimulator(database());
  if (!stripe.apiKey) throw new ConfigError('LEAKY_STRIPE_API_KEY: required when LEAKY_PAYMENTS is stripe');
  return createStripePayments({ apiKey: stripe.apiKey, baseUrl: stripe.baseUrl });
}
