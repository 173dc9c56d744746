import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseMethod, simulatedMethods } from '../../adapters/payments/simulated-methods.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { priceCents } from '../../domain/pricing.js';
import { makeOrder } from '../../api/tokens/purchase-orders.js';

describe('the price', () => {
  const provider = fc.constantFrom(...PROVIDERS);
  const tokens = fc.integer({ min: 1, max: 1_000_000 });

  for (const [name, amount, cents] of [
    ['openai', 1, 1],
    ['openai', 2_000, 1],
    ['openai', 2_001, 2],
    ['openai', 1_000_000, 500],
    ['gemini', 1_000_000, 300],
    ['qwen', 5_000, 1],
    ['qwen', 5_001, 2],
  ] as const) {
    it(`of ${amount} ${name} tokens is ${cents} cents`, () => assert.equal(priceCents(name, amount), cents));
  }

  it('is a positive integer, never falls with more tokens, and is never cheaper in one piece than it is fair', () => {
    fc.assert(
      fc.property(provider, tokens, tokens, (name, a, b) => {
        const [few, many] = a < b ? [a, b] : [b, a];
        assert.ok(Number.isSafeInteger(priceCents(name, few)) && priceCents(name, few) >= 1);
        assert.ok(priceCents(name, few) <= priceCents(name, many));
        assert.ok(priceCents(name, few + many) <= priceCents(name, few) + priceCents(name, many), 'splitting never saves');
      }),
    );
  });

  it('refuses what is not a positive integer', () => {
    for (const bad of [0, -1, 1.5, Number.NaN]) assert.throws(() => priceCents('openai', bad), RangeError);
  });
});

describe('the simulator\u2019s payment methods', () => {
  it('have a default number that can be overridden', () => {
    assert.deepEqual(parseMethod('sim_timeout'), { behaviour: 'sim_timeout', number: 2 });
    assert.deepEqual(parseMethod('sim_timeout:7'), { behaviour: 'sim_timeout', number: 7 });
    assert.equal(parseMethod(simulatedMethods.fallback)?.behaviour, 'sim_approve');
  });

  for (const bad of ['', 'sim_', 'sim_free', 'sim_approve:1', 'sim_slow:', 'sim_slow:x', 'constructor', 'sim_slow:1 ', 'pm_card_visa']) {
    it(`do not include "${bad}"`, () => assert.match(String(simulatedMethods.fault(bad)), /no method of this name/));
  }
});

describe('a saga id', () => {
  const body = { userId: '7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11', provider: 'openai' as const, tokens: 1 };
  const sagaId = (idempotencyKey: string | null, userId = body.userId) =>
    makeOrder(
      { ...body, userId },
      { paymentMethod: 'sim_approve', idempotencyKey, correlationId: 'c', limitSeconds: 1, approvalAboveTokens: 1, now: new Date(0) },
    ).sagaId;

  it('is one for a user and a key, apart for each user, and new without a key', () => {
    assert.equal(sagaId('k'), sagaId('k'));
    assert.notEqual(sagaId('k'), sagaId('l'));
    assert.notEqual(sagaId('k'), sagaId('k', '7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c12'));
    assert.notEqual(sagaId(null), sagaId(null));
  });
});
