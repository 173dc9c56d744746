import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { z } from 'zod';
import { simulatedMethods } from '../../adapters/payments/simulated-methods.js';
import { stripeMethods } from '../../adapters/payments/stripe.js';
import { priceList } from '../../contracts/http/purchases.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { priceCents, priceLine, smallestPurchase } from '../../domain/pricing.js';
import { TIERS, termsOf } from '../../domain/tiers.js';
import { withBench } from './bench.js';
import { someone, withApi, type Answer, type Api, type Person } from './http-support.js';

type Prices = z.output<typeof priceList>;
const pricesOf = async (api: Api): Promise<Prices> => priceList.parse((await api.call(someone(), '/prices')).body);

describe('the price list', () => {
  it('has the smallest purchase: its price is taken, that of one token less is not', () => {
    fc.assert(
      fc.property(fc.constantFrom(...PROVIDERS), fc.integer({ min: 1, max: 190 }), (provider, minimumCents) => {
        const smallest = smallestPurchase(provider, minimumCents);
        assert.ok(priceCents(provider, smallest) >= minimumCents);
        if (smallest > 1) assert.ok(priceCents(provider, smallest - 1) < minimumCents);
      }),
    );
  });

  it('names exactly the tiers whose cap is below it', () => {
    for (const provider of PROVIDERS) {
      for (const { minimumCents } of [simulatedMethods, stripeMethods]) {
        const { smallest, tiersThatCannotBuy } = priceLine(provider, minimumCents);
        const shutOut = TIERS.filter((tier) => tier !== 'ENTERPRISE' && (termsOf(tier).cap ?? Infinity) < smallest.tokens);
        assert.deepEqual(tiersThatCannotBuy, shutOut);
      }
    }
    assert.deepEqual(priceLine('openai', stripeMethods.minimumCents).tiersThatCannotBuy, ['FREE', 'BRONZE', 'SILVER']);
    assert.deepEqual(priceLine('openai', simulatedMethods.minimumCents).tiersThatCannotBuy, []);
  });
});

describe('purchases with Stripe\u2019s terms', function () {
  this.timeout(60_000);
  const bench = withBench({ worker: false });
  const api = withApi(bench, { paymentMethods: stripeMethods });
  const buy = (buyer: Person, tokens: number, over: object = {}) =>
    api.call(buyer, '/purchase', {
      body: { userId: buyer.userId, provider: 'openai', tokens, paymentMethod: 'pm_card_visa', ...over },
    });
  const sagas = async (buyer: Person) => {
    const workflows = await bench.temporal().client.workflow.count(`LeakyUserId = "${buyer.userId}"`);
    const places = await bench.pool().query('SELECT 1 FROM token_purchase_saga WHERE user_id = $1', [buyer.userId]);
    return workflows.count + (places.rowCount ?? 0);
  };
  const refused = (answer: Answer, code: string) =>
    assert.deepEqual([answer.status, answer.body['code']], [400, code], JSON.stringify(answer.body));

  it('says them to anyone: not simulated, at least 50 cents', async () => {
    const list = await pricesOf(api);
    assert.deepEqual([list.simulated, list.currency, list.minimumCents, list.maxTokens], [false, 'USD', 50, 1_000_000]);
    const line = list.items.find(({ provider }) => provider === 'openai');
    assert.deepEqual(line?.smallest, { tokens: 98_001, amountCents: 50 });
    assert.deepEqual(line?.largest, { tokens: 1_000_000, amountCents: 500 });
    for (const { smallest, packages } of list.items) assert.ok(packages.every(({ tokens }) => tokens >= smallest.tokens));
  });

  it('400 for the thousand tokens that cost 1 cent, and for all below the smallest of the list, before anything is begun', async () => {
    const buyer = someone();
    const answer = await buy(buyer, 1_000);
    refused(answer, 'PURCHASE_TOO_SMALL');
    assert.deepEqual(
      [answer.body['policy'], answer.body['limit'], answer.body['minimum']],
      ['smallest-purchase', 98_001, { tokens: 98_001, amountCents: 50 }],
    );
    for (const { provider, smallest, largest } of (await pricesOf(api)).items) {
      refused(await buy(buyer, smallest.tokens - 1, { provider }), 'PURCHASE_TOO_SMALL');
      refused(await buy(buyer, largest.tokens + 1, { provider }), 'INVALID_REQUEST');
    }
    assert.equal(await sagas(buyer), 0);
  });

  it('202 at the smallest of the list, with its amount', async () => {
    for (const { provider, smallest } of (await pricesOf(api)).items) {
      const { status, body } = await buy(someone(), smallest.tokens, { provider });
      assert.deepEqual([status, body['amountCents'], body['currency'], body['simulated']], [202, smallest.amountCents, 'USD', false]);
    }
  });

  it('tells a tier whose cap is below the smallest purchase that it cannot buy', async () => {
    const buyer = someone();
    await bench.pool().query(`INSERT INTO quota_policies (owner_kind, owner_id, tier) VALUES ('user', $1, 'SILVER')`, [buyer.userId]);
    const answer = await buy(buyer, 98_001);
    refused(answer, 'POOL_CAP_EXCEEDED');
    assert.match(String(answer.body['detail']), /which therefore cannot buy/);
    assert.equal(await sagas(buyer), 0);
  });
});

describe('purchases with the simulator\u2019s terms', function () {
  this.timeout(60_000);
  const bench = withBench();
  const api = withApi(bench);

  it('begin at one token, and every answer says that they are simulated', async () => {
    const list = await pricesOf(api);
    assert.deepEqual([list.simulated, list.minTokens], [true, 1]);
    assert.ok(list.paymentMethods.some(({ id }) => id === simulatedMethods.fallback));
    const buyer = someone();
    const body = { userId: buyer.userId, provider: 'openai', tokens: 1 };
    const accepted = await api.call(buyer, '/purchase', { body, key: 'k' });
    const wanted = { amountCents: 1, currency: 'USD', simulated: true };
    const shown = ({ body }: Answer) => ({ amountCents: body['amountCents'], currency: body['currency'], simulated: body['simulated'] });
    assert.equal(accepted.status, 202);
    const again = await api.call(buyer, '/purchase', { body, key: 'k' });
    const view = await api.call(buyer, `/purchase/${String(accepted.body['sagaId'])}`);
    for (const answer of [accepted, again, view]) assert.deepEqual(shown(answer), wanted);
  });
});
