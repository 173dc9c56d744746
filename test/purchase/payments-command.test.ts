import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createPaymentSimulator } from '../../adapters/payments/simulator.js';
import { createStripeIntents } from '../../adapters/payments/stripe-intents.js';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { paymentCommands } from '../../compose/payments.js';
import { ConfigError, loadConfig } from '../../config.js';
import { orderOf, paymentOf, withBench } from './bench.js';
import { startStripeStandIn } from './stripe-stand-in.js';

describe('leaky payments', function () {
  this.timeout(60_000);
  const bench = withBench();
  const config = () => loadConfig({ LEAKY_POSTGRES_URL: bench.databaseUrl() });
  const refund = (sagaId: string, terminated = false) => paymentCommands.refund(config(), sagaId, { terminated });
  const breaches = async () => (await createAuditor(bench.pool()).audit(0)).breaches;

  it('refunds a purchase whose workflow was terminated with the money taken, and ends it', async () => {
    const order = orderOf({ method: 'sim_capture_timeout' });
    await bench.start(order);
    await bench.until(order, ({ status, cancellable }) => status === 'TOKENS_ALLOCATED' && !cancellable, 'the capture is under way');
    const { pool } = bench;
    await bench.handle(order).terminate('for this test');
    await createPaymentSimulator(pool()).capture({ ...paymentIn(order), method: 'sim_approve' });
    await assert.rejects(refund(order.sagaId), ConfigError, 'its workflow may be in charge');
    assert.match(await refund(order.sagaId, true), /refunded[^]*FAILED[^]*VOIDED[^]*REFUNDED/);
    assert.deepEqual(await paymentOf(pool(), order), { state: 'REFUNDED', captures: 1, refunds: 1 });
    assert.match(await refund(order.sagaId), /REFUNDED/, 'a repeat does nothing more');
    assert.deepEqual(await breaches(), []);
  });

  it('releases a hold that no purchase knows of', async () => {
    const order = orderOf();
    await createPaymentSimulator(bench.pool()).reserve(paymentIn(order));
    assert.equal((await breaches())[0]?.law, 'money is held for open purchases only');
    assert.match(await paymentCommands.list(config()), new RegExp(`${order.sagaId}  no purchase`));
    assert.match(await refund(order.sagaId), /The hold was released/);
    assert.deepEqual(await breaches(), []);
  });

  it('ends a payment that Stripe alone knows of', async () => {
    const stripe = await startStripeStandIn();
    try {
      const order = orderOf({ method: 'pm_card_visa', tokens: 100_000 });
      const intents = createStripeIntents({ apiKey: 'sk_test_123', baseUrl: stripe.baseUrl });
      const { id } = await intents.create(paymentIn(order));
      await intents.confirm(id, 'pm_card_visa');
      const env = { LEAKY_PAYMENTS: 'stripe', LEAKY_STRIPE_API_KEY: 'sk_test_123', LEAKY_STRIPE_BASE_URL: stripe.baseUrl };
      const withStripe = loadConfig({ ...env, LEAKY_POSTGRES_URL: bench.databaseUrl() });
      assert.match(await paymentCommands.refund(withStripe, order.sagaId, { terminated: false }), /The hold was released/);
      assert.equal(stripe.intents.get(id)?.status, 'canceled');
      await assert.rejects(paymentCommands.refund(withStripe, randomUUID(), { terminated: false }), /not known whether/);
    } finally {
      await stripe.close();
    }
  });

  it('refuses when the buyer has the tokens, and for what is none', async () => {
    const order = orderOf();
    await bench.start(order);
    await bench.ended(order);
    for (const terminated of [false, true]) await assert.rejects(refund(order.sagaId, terminated), /has the tokens/);
    assert.match(
      await paymentCommands.show(config(), order.sagaId),
      /COMPLETED  5000 tokens POSTED {2}3 US cents by sim_approve  simulated: CAPTURED/,
    );
    for (const id of [randomUUID(), 'nonsense']) await assert.rejects(refund(id), /no such purchase/);
  });
});

const paymentIn = ({ sagaId, amountCents, paymentMethod }: ReturnType<typeof orderOf>) => ({
  key: sagaId,
  amountCents,
  method: paymentMethod,
  description: 'tokens',
  paymentId: null,
  unrecordedSince: null,
});
