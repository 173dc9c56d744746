import type { PaymentMethods, Payments } from '../../activities/purchase-ports.js';
import { ConfigError, type Config } from '../../config.js';
import type { Database } from '../postgres/pool.js';
import { simulatedMethods } from './simulated-methods.js';
import { createPaymentSimulator } from './simulator.js';
import { createStripePayments, stripeMethods } from './stripe.js';

/** What the API needs: which methods callers may name with the configured provider. */
export const paymentMethodsOf = (config: Pick<Config, 'payments'>): PaymentMethods =>
  config.payments.provider === 'stripe' ? stripeMethods : simulatedMethods;

/**
 * What the purchase worker needs: the configured provider.
 * @throws ConfigError when Stripe is chosen without its API key
 */
export function createPayments(config: Pick<Config, 'payments'>, database: () => Database): Payments {
  const { provider, stripe } = config.payments;
  if (provider === 'simulator') return createPaymentSimulator(database());
  if (!stripe.apiKey) throw new ConfigError('LEAKY_STRIPE_API_KEY: required when LEAKY_PAYMENTS is stripe');
  return createStripePayments({ apiKey: stripe.apiKey, baseUrl: stripe.baseUrl });
}
