import assert from 'node:assert/strict';
import { createPayments, paymentMethodsOf } from '../../adapters/payments/index.js';
import { ConfigError, loadConfig } from '../../config.js';
import { configCommands } from '../../compose/configuration.js';

const noDatabase = () => assert.fail('no database is needed to refuse');

/** `config check` with this environment alone. */
function checked(env: NodeJS.ProcessEnv): string {
  const before = process.env;
  process.env = env;
  try {
    return configCommands.check();
  } finally {
    process.env = before;
  }
}

describe('who takes the money', () => {
  const real: NodeJS.ProcessEnv[] = [
    { NODE_ENV: 'production' },
    { LEAKY_OPENAI_API_KEY: 'sk-real' },
    { LEAKY_GEMINI_API_KEY: 'real' },
    { LEAKY_QWEN_BASE_URL: 'https://dashscope-intl.aliyuncs.com/compatible-mode' },
    { LEAKY_OPENAI_BASE_URL: 'http://stubs:8093' },
    { LEAKY_STRIPE_API_KEY: 'sk_test_1' },
  ];
  for (const env of real) {
    it(`must be said with ${Object.entries(env).flat().join('=')}`, () => {
      const config = loadConfig(env);
      assert.throws(() => createPayments(config, noDatabase), ConfigError);
      assert.throws(() => paymentMethodsOf(config), ConfigError);
      assert.throws(() => checked(env), /LEAKY_PAYMENTS: say who takes the money/);
      assert.equal(paymentMethodsOf(loadConfig({ ...env, LEAKY_PAYMENTS: 'simulator' })).simulated, true);
    });
  }

  it('is the simulator where nothing costs money: stubs on this machine', () => {
    for (const env of [{}, { LEAKY_OPENAI_BASE_URL: 'http://127.0.0.1:8093', LEAKY_OPENAI_API_KEY: 'stub' }]) {
      assert.equal(paymentMethodsOf(loadConfig(env)).simulated, true);
      assert.equal(checked(env), 'The configuration is sound.\n');
    }
  });

  it('is said with the tiers that cannot buy from it', () => {
    const text = checked({ LEAKY_PAYMENTS: 'stripe', LEAKY_STRIPE_API_KEY: 'sk_test_1' });
    assert.match(text, /Note: FREE, BRONZE, SILVER cannot buy openai tokens: .* 98001 tokens/);
  });
});
