import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { PaymentOutcomeUnknown, type Payment, type Payments } from '../../activities/purchase-ports.js';
import { createStripeBooks } from '../../adapters/payments/stripe-books.js';
import { createStripeIntents } from '../../adapters/payments/stripe-intents.js';
import { createStripePayments } from '../../adapters/payments/stripe.js';
import { createAuditor } from '../../adapters/postgres/audit.js';
import { createPaymentRecords } from '../../adapters/postgres/payments.js';
import { EVERY_PAYMENT } from '../../adapters/postgres/payments-audit.js';
import { withDatabase } from '../support/postgres.js';
import { orderOf, withBench } from './bench.js';
import { startStripeStandIn, type StandInIntent, type StripeStandIn } from './stripe-stand-in.js';

type Step = keyof Payments;

const paymentWith = (over: Partial<Payment> = {}): Payment => ({
  key: randomUUID(),
  amountCents: 150,
  method: 'pm_card_visa',
  description: 'tokens',
  paymentId: null,
  unrecordedSince: null,
  ...over,
});

const WEEKEND = `interval '3 days'`;

describe('Stripe, which forgets idempotency keys', function () {
  this.timeout(60_000);
  let stripe: StripeStandIn;
  before('a stand-in', async () => void (stripe = await startStripeStandIn(process.env.LEAKY_STRIPE_MOCK_URL)));
  after('stop it', () => stripe.close());
  beforeEach(() => void Object.assign(stripe, { shows: true, loses: () => null }));
  const database = withDatabase();
  const intents = () => createStripeIntents({ apiKey: 'sk_test_123', baseUrl: stripe.baseUrl });
  /** A new one each time, as after the death of a worker: nothing is known but what is written. */
  const payments = () => createStripePayments(intents(), createPaymentRecords(database().pool, 'stripe'));
  const of = ({ key }: Payment) => [...stripe.intents.values()].filter(({ metadata }) => metadata['leaky_saga_id'] === key);
  const isOpen = ({ status }: StandInIntent) => status !== 'canceled' && status !== 'succeeded';
  const kept = (payment: Payment) => of(payment).filter(({ status, latest_charge }) => status === 'succeeded' && !latest_charge?.refunded);

  async function weekend(payment: Payment): Promise<void> {
    stripe.forgetKeys();
    await database().pool.query(`UPDATE payments SET asked_at = asked_at - ${WEEKEND} WHERE saga_id = $1`, [payment.key]);
  }

  /** Until its outcome is known, as the workflow does it, each attempt by another worker and with all keys forgotten. */
  async function surely<Name extends Step>(step: Name, payment: Payment): Promise<Awaited<ReturnType<Payments[Name]>>> {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        return (await payments()[step](payment)) as Awaited<ReturnType<Payments[Name]>>;
      } catch (error) {
        assert.ok(error instanceof PaymentOutcomeUnknown, String(error));
        stripe.forgetKeys();
      }
    }
    assert.fail(`the outcome of ${step} is not known after ten attempts`);
  }

  const ENDS: [name: string, steps: Step[], method: string, keeps: number][] = [
    ['is captured', ['reserve', 'capture'], 'pm_card_visa', 1],
    ['is released', ['reserve', 'undo'], 'pm_card_visa', 0],
    ['is refunded', ['reserve', 'capture', 'undo'], 'pm_card_visa', 0],
    ['is released before it was reserved', ['undo', 'reserve'], 'pm_card_visa', 0],
    ['is declined', ['reserve'], 'pm_card_chargeDeclined', 0],
  ];
  for (const [name, steps, method, keeps] of ENDS) {
    for (const loss of ['BEFORE', 'AFTER'] as const) {
      it(`a payment that ${name} leaves nothing open, whichever request is lost ${loss === 'BEFORE' ? 'on its way' : 'with its answer'}`, async () => {
        for (let lost = 0, asked = Infinity; lost < asked; lost++) {
          asked = 0;
          Object.assign(stripe, { loses: () => (asked++ === lost ? loss : null) });
          const payment = paymentWith({ method });
          for (const step of steps) await surely(step, payment);
          const left = of(payment).map(({ id, status }) => `${id} ${status}`);
          assert.deepEqual(of(payment).filter(isOpen), [], `request ${lost} of ${asked}: ${left.join(', ')}`);
          assert.equal(kept(payment).length, keeps, `request ${lost} of ${asked}: ${left.join(', ')}`);
        }
      });
    }
  }

  it('a release after a weekend ends the old hold and makes no new payment', async () => {
    const payment = paymentWith();
    await payments().reserve(payment);
    await weekend(payment);
    assert.equal(await payments().undo(payment), 'RELEASED');
    assert.deepEqual(
      of(payment).map(({ status }) => status),
      ['canceled'],
    );
  });

  it('a capture whose answer was lost is found taken after a weekend, or given back', async () => {
    for (const step of ['capture', 'undo'] as const) {
      const payment = paymentWith();
      await payments().reserve(payment);
      Object.assign(stripe, { loses: (_: string, path: string) => (path.endsWith('/capture') ? 'AFTER' : null) });
      await assert.rejects(payments().capture(payment), PaymentOutcomeUnknown);
      Object.assign(stripe, { loses: () => null });
      await weekend(payment);
      if (step === 'capture') assert.equal((await payments().capture(payment)).ok, true);
      else assert.equal(await payments().undo(payment), 'REFUNDED');
      assert.equal(of(payment).length, 1);
      assert.equal(kept(payment).length, step === 'capture' ? 1 : 0);
    }
  });

  it('a payment whose creation was never answered is found by its metadata after a weekend', async () => {
    const payment = paymentWith();
    Object.assign(stripe, {
      loses: (method: string, path: string) => (method === 'POST' && path.endsWith('/payment_intents') ? 'AFTER' : null),
    });
    await assert.rejects(payments().reserve(payment), PaymentOutcomeUnknown);
    Object.assign(stripe, { loses: () => null });
    await weekend(payment);
    await payments().undo(payment);
    assert.deepEqual(
      of(payment).map(({ status }) => status),
      ['canceled'],
    );
  });

  it('that nothing is found is no answer: the outcome stays unknown and no payment is made, until it is shown', async () => {
    for (const step of ['undo', 'capture', 'reserve'] as const) {
      const payment = paymentWith();
      Object.assign(stripe, {
        loses: (method: string, path: string) => (method === 'POST' && path.endsWith('/payment_intents') ? 'AFTER' : null),
      });
      await assert.rejects(payments().reserve(payment), PaymentOutcomeUnknown);
      Object.assign(stripe, { loses: () => null, shows: false });
      await weekend(payment);
      for (let i = 0; i < 3; i++) await assert.rejects(payments()[step](payment), PaymentOutcomeUnknown);
      assert.equal(of(payment).length, 1);
      stripe.shows = true;
      await payments().undo(payment);
      assert.deepEqual(of(payment).filter(isOpen), []);
    }
  });

  it('an id that Stripe does not know is no answer either', async () => {
    const payment = paymentWith({ paymentId: 'pi_of_another_account' });
    for (const step of ['capture', 'undo'] as const) await assert.rejects(payments()[step](payment), PaymentOutcomeUnknown);
  });

  it('a purchase of before ids were kept ends the payment that it began then', async () => {
    for (const captured of [false, true]) {
      const payment = paymentWith({ unrecordedSince: new Date(Date.now() - 72 * 3_600_000) });
      const { id } = await intents().create(payment);
      await intents().confirm(id, payment.method);
      if (captured) await intents().capture(id);
      stripe.forgetKeys();
      assert.equal(await payments().undo(payment), captured ? 'REFUNDED' : 'RELEASED');
      assert.deepEqual([of(payment).length, of(payment).filter(isOpen).length, kept(payment).length], [1, 0, 0]);
    }
  });

  it('a purchase of before ids were kept finds its captured payment, and never makes another one to capture', async () => {
    const payment = paymentWith({ unrecordedSince: new Date(Date.now() - 60_000) });
    const { id } = await intents().create(payment);
    await intents().confirm(id, payment.method);
    await intents().capture(id);
    stripe.forgetKeys();
    stripe.shows = false;
    await assert.rejects(payments().capture(payment), PaymentOutcomeUnknown);
    stripe.shows = true;
    assert.deepEqual(await payments().capture(payment), { ok: true });
    assert.equal(of(payment).length, 1);
  });
});

describe('purchases paid with Stripe', function () {
  this.timeout(90_000);
  const bench = withBench({ worker: false });
  let stripe: StripeStandIn;
  before('a stand-in that forgets each key at once and loses two of five requests or their answers', async () => {
    stripe = await startStripeStandIn();
    const payments = createStripePayments(stripeIntents(), createPaymentRecords(bench.pool(), 'stripe'));
    await bench.work({ payments });
  });
  after('stop it', () => stripe.close());
  const stripeIntents = () => createStripeIntents({ apiKey: 'sk_test_123', baseUrl: stripe.baseUrl });
  const audit = () => createAuditor(bench.pool(), null, createStripeBooks(stripeIntents())).audit(0);
  const breachesOf = async (law: string) => (await audit()).breaches.filter((breach) => breach.law === law);

  it('keep the id in the row and in the workflow before money is held, and leave no payment behind, whatever is lost', async () => {
    // Without a period: a step of as many requests as one would lose the same of them for ever.
    let draw = 1;
    Object.assign(stripe, {
      loses: () => {
        stripe.forgetKeys();
        draw = (draw * 16_807) % 2_147_483_647;
        return draw % 5 === 0 ? 'BEFORE' : draw % 5 === 1 ? 'AFTER' : null;
      },
    });
    const orders = ['pm_card_visa', 'pm_card_visa', 'pm_card_chargeDeclined'].map((method) => orderOf({ method, tokens: 100_000 }));
    await Promise.all(orders.map(bench.start));
    const states = await Promise.all(orders.map((order) => bench.handle(order).result() as Promise<{ status: string }>));
    Object.assign(stripe, { loses: () => null });
    for (const [index, kind] of ['completed', 'completed', 'declined'].entries()) {
      await bench.record(bench.handle(orders[index] ?? orderOf()), `stripe-${kind}`);
    }
    assert.deepEqual(
      states.map(({ status }) => status),
      ['COMPLETED', 'COMPLETED', 'FAILED'],
    );
    for (const [index, order] of orders.entries()) {
      const made = [...stripe.intents.values()].filter(({ metadata }) => metadata['leaky_saga_id'] === order.sagaId);
      assert.equal(made.filter(({ status }) => status === 'succeeded').length, index < 2 ? 1 : 0);
      assert.ok(made.every(({ status }) => status === 'succeeded' || status === 'canceled'));
    }
    const { rows } = await bench.pool().query<{ id: string }>('SELECT payment_id AS id FROM payments WHERE payment_id IS NOT NULL');
    assert.deepEqual(
      new Set(rows.map(({ id }) => stripe.intents.get(id)?.metadata['leaky_saga_id'])),
      new Set(orders.map(({ sagaId }) => sagaId)),
    );
    assert.deepEqual((await audit()).breaches, []);
  });

  it('the audit names a payment that is left alone, held or captured, and no other', async () => {
    const planted = paymentWith();
    const { id } = await stripeIntents().create(planted);
    const seen = async () => (await breachesOf(EVERY_PAYMENT)).map(({ count, samples }) => [count, ...samples]);
    const breach = [[1, `${planted.key} (${id})`]];
    assert.deepEqual(await seen(), breach, 'made');
    await stripeIntents().confirm(id, planted.method);
    assert.deepEqual(await seen(), breach, 'held');
    await stripeIntents().capture(id);
    assert.deepEqual(await seen(), breach, 'captured, and no tokens posted');
    await stripeIntents().end(id);
    assert.deepEqual(await seen(), []);
  });

  it('the audit says what it could not check while the provider is away, and checks the rest', async function () {
    this.timeout(60_000);
    const away = createStripeBooks(createStripeIntents({ apiKey: 'sk_test_123', baseUrl: 'http://127.0.0.1:1' }));
    const report = await createAuditor(bench.pool(), null, away).audit(0);
    assert.deepEqual(report.breaches, []);
    assert.ok(report.checked.purchases > 0);
    assert.deepEqual(
      report.unchecked?.map((law) => law.startsWith(EVERY_PAYMENT)),
      [true],
    );
  });

  it('the audit reads on from the oldest payment that had not ended', async () => {
    const planted = await stripeIntents().create(paymentWith());
    await audit();
    const { rows } = await bench.pool().query<{ mark: Date }>(`SELECT ended_before AS mark FROM payment_checks WHERE provider = 'stripe'`);
    assert.ok(rows[0] && rows[0].mark.getTime() <= planted.created * 1000);
    assert.equal((await breachesOf(EVERY_PAYMENT)).length, 1, 'it is named until it has ended');
    await stripeIntents().end(planted.id);
    assert.equal((await breachesOf(EVERY_PAYMENT)).length, 0);
  });
});
