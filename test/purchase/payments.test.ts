import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { PaymentOutcomeUnknown, type Payment, type Payments } from '../../activities/purchase-ports.js';
import { createPayments } from '../../adapters/payments/index.js';
import { createPaymentSimulator } from '../../adapters/payments/simulator.js';
import { createStripeIntents } from '../../adapters/payments/stripe-intents.js';
import { createStripePayments } from '../../adapters/payments/stripe.js';
import { createPaymentRecords } from '../../adapters/postgres/payments.js';
import { ConfigError, loadConfig } from '../../config.js';
import { withDatabase } from '../support/postgres.js';
import { startStripeStandIn, type StripeStandIn } from './stripe-stand-in.js';

interface Provider {
  payments: () => Payments;
  good: string;
  declining: string;
  /** What happened to the money of a payment: 'held', 'captured', … each once */
  effects: (payment: Payment) => Promise<string[]>;
}

const paymentWith = (method: string): Payment => ({
  key: randomUUID(),
  amountCents: 500,
  method,
  description: 'tokens',
  paymentId: null,
  unrecordedSince: null,
});

/** The laws of the Payments port, held by every adapter. */
function holdsTheLaws(provider: Provider): void {
  const { good, declining, effects } = provider;
  const at = () => provider.payments();

  it('reserves, captures and repeats both without moving money again', async () => {
    const payment = paymentWith(good);
    for (const step of ['reserve', 'reserve', 'capture', 'capture', 'reserve'] as const) {
      assert.equal((await at()[step](payment)).ok, true, step);
    }
    assert.deepEqual(await effects(payment), ['held', 'captured']);
  });

  it('declines for good', async () => {
    const payment = paymentWith(declining);
    for (const step of ['reserve', 'reserve', 'capture'] as const) assert.equal((await at()[step](payment)).ok, false, step);
    assert.deepEqual(await effects(payment), []);
  });

  it('undoes nothing, and then a late reservation holds nothing', async () => {
    const payment = paymentWith(good);
    assert.equal(await at().undo(payment), 'NOTHING');
    assert.equal((await at().reserve(payment)).ok, false);
    assert.equal((await at().capture(payment)).ok, false);
    assert.ok(!(await effects(payment)).includes('held'));
  });

  it('releases a hold, and then a late capture takes nothing', async () => {
    const payment = paymentWith(good);
    await at().reserve(payment);
    assert.equal(await at().undo(payment), 'RELEASED');
    assert.equal((await at().capture(payment)).ok, false);
    assert.deepEqual(await effects(payment), ['held', 'released']);
  });

  it('refunds what was captured, once, and then a late capture is declined', async () => {
    const payment = paymentWith(good);
    await at().reserve(payment);
    await at().capture(payment);
    assert.equal(await at().undo(payment), 'REFUNDED');
    assert.equal(await at().undo(payment), 'REFUNDED');
    assert.equal((await at().capture(payment)).ok, false);
    assert.deepEqual(await effects(payment), ['held', 'captured', 'refunded']);
  });

  it('takes nothing for good once undone, whatever else runs at the same time', async () => {
    const calls = fc.array(fc.constantFrom('reserve', 'capture', 'undo'), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(calls, async (steps) => {
        const payment = paymentWith(good);
        await at().reserve(payment);
        await Promise.all(steps.map((step) => at()[step as keyof Payments](payment)));
        await at().undo(payment);
        const seen = await effects(payment);
        assert.equal(new Set(seen).size, seen.length, 'each effect once');
        assert.equal(seen.includes('captured'), seen.includes('refunded'));
        assert.equal(seen.includes('released'), !seen.includes('captured'));
      }),
      { numRuns: 15 },
    );
  });
}

describe('the payment simulator', function () {
  this.timeout(20_000);
  const database = withDatabase();
  const names: Record<string, string> = { AUTHORIZED: 'held', CAPTURED: 'captured', RELEASED: 'released', REFUNDED: 'refunded' };

  holdsTheLaws({
    payments: () => createPaymentSimulator(database().pool),
    good: 'sim_approve',
    declining: 'sim_decline',
    effects: async ({ key }) => {
      const text = `SELECT effect FROM sim_payment_calls WHERE payment_key = $1 AND effect NOT IN ('NONE', 'DECLINED') ORDER BY id`;
      const { rows } = await database().pool.query<{ effect: string }>(text, [key]);
      return rows.map(({ effect }) => names[effect] ?? effect);
    },
  });

  it('cannot hide a double capture: its tables refuse one, and its log cannot be changed', async () => {
    const { pool } = database();
    const payment = paymentWith('sim_approve');
    await createPaymentSimulator(pool).reserve(payment);
    await createPaymentSimulator(pool).capture(payment);
    await assert.rejects(pool.query('UPDATE sim_payments SET captures = 2 WHERE payment_key = $1', [payment.key]), /check constraint/);
    const again = `INSERT INTO sim_payment_calls (payment_key, operation, effect, answer) VALUES ($1, 'CAPTURE', 'CAPTURED', 'OK')`;
    await assert.rejects(pool.query(again, [payment.key]), /unique constraint/);
    await assert.rejects(pool.query('DELETE FROM sim_payment_calls WHERE payment_key = $1', [payment.key]), /append-only/);
  });
});

describe('Stripe', function () {
  this.timeout(20_000);
  let stripe: StripeStandIn;
  // With LEAKY_STRIPE_MOCK_URL (a running stripe-mock) the form of every request is checked against Stripe's own description too.
  before('a stand-in', async () => void (stripe = await startStripeStandIn(process.env.LEAKY_STRIPE_MOCK_URL)));
  after('stop it', () => stripe.close());
  const database = withDatabase();
  const payments = () =>
    createStripePayments(
      createStripeIntents({ apiKey: 'sk_test_123', baseUrl: stripe.baseUrl }),
      createPaymentRecords(database().pool, 'stripe'),
    );
  const names: Record<string, string> = { confirm: 'held', capture: 'captured', cancel: 'released', refund: 'refunded' };
  /** Payments are made one after the other here, so the effects since the last look are this one's. */
  let seen = 0;
  const effectsSince = () => stripe.effects.slice(seen).map((effect) => names[effect.split(' ')[0] ?? ''] ?? effect);
  beforeEach(() => void (seen = stripe.effects.length));

  holdsTheLaws({
    payments,
    good: 'pm_card_visa',
    declining: 'pm_card_chargeDeclined',
    effects: () => {
      const effects = effectsSince();
      seen = stripe.effects.length;
      return Promise.resolve(effects);
    },
  });

  for (const [path, step, effects] of [
    ['/confirm', 'reserve', ['held']],
    ['/capture', 'capture', ['held', 'captured']],
  ] as const) {
    it(`does not know the outcome of a ${step} that was answered with a 500, and finds it out by repeating`, async () => {
      const payment = paymentWith('pm_card_visa');
      if (step === 'capture') await payments().reserve(payment);
      stripe.failAfter.set(path, 1);
      await assert.rejects(payments()[step](payment), PaymentOutcomeUnknown);
      assert.equal((await payments()[step](payment)).ok, true);
      assert.deepEqual(effectsSince(), effects);
    });
  }

  it('declines an amount below its minimum, and a missing API key is a fault of the configuration', async () => {
    assert.equal((await payments().reserve({ ...paymentWith('pm_card_visa'), amountCents: 1 })).ok, false);
    const config = loadConfig({ LEAKY_PAYMENTS: 'stripe' });
    assert.throws(() => createPayments(config, () => assert.fail('no database is needed')), ConfigError);
  });
});
