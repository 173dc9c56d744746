import type { KnownPayment, PaymentBooks } from '../../activities/reconciliation-ports.js';
import { isRefunded, sagaOf, type Intent, type StripeIntents } from './stripe-intents.js';

/** What Stripe knows of our payments, for the audit. Intents without our metadata are not ours. */
export const createStripeBooks = (intents: StripeIntents): PaymentBooks => ({
  provider: 'stripe',
  async *since(from) {
    for await (const page of intents.since(from)) yield page.flatMap(known);
  },
  async current(id) {
    const [payment] = known(await intents.read(id));
    return payment ?? null;
  },
});

function known(intent: Intent): KnownPayment[] {
  const sagaId = sagaOf(intent);
  if (sagaId === undefined) return [];
  return [{ id: intent.id, sagaId, state: stateOf(intent), createdAt: new Date(intent.created * 1000) }];
}

function stateOf(intent: Intent): KnownPayment['state'] {
  if (intent.status === 'canceled') return 'ENDED';
  if (intent.status === 'succeeded') return isRefunded(intent) ? 'ENDED' : 'CAPTURED';
  return 'OPEN';
}
