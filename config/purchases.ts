import { z } from 'zod';
import { count, secret, type Env } from './fields.js';
import { baseUrl } from './network.js';
import { silentSimulator } from './payment-choice.js';
import type { ProcessEnv } from './process.js';
import type { ProviderEnv } from './providers.js';
import type { Rule } from './rules.js';

export const schema = {
  LEAKY_PURCHASE_LIMIT_SECONDS: count(600).describe('A purchase that is not paid by then is undone'),
  LEAKY_APPROVAL_ABOVE_TOKENS: count(Number.MAX_SAFE_INTEGER).describe('Purchases above this wait for the approve signal'),
  LEAKY_PURCHASES_OPEN_PER_CALLER: count(20).describe(
    'Purchases that one caller may have under way, parked ones left out; more are refused with 429',
  ),
  LEAKY_PURCHASE_STEPS: count(1_000).describe('Steps of purchases that a worker carries out at once; each waiting payment call is one'),
  LEAKY_PAYMENTS: z
    .enum(['simulator', 'stripe'])
    .optional()
    .describe(
      'Who takes the money. Unset: the simulator (nobody pays), on a machine of its own with stubs for providers; else it must be said',
    ),
  LEAKY_STRIPE_API_KEY: secret(z.string().optional().describe('Required when LEAKY_PAYMENTS is stripe')),
  LEAKY_STRIPE_BASE_URL: baseUrl().optional().describe("Unset: Stripe's own address"),
};

export const rules: Rule<Env<typeof schema>>[] = [
  {
    for: 'payments',
    of: ['LEAKY_STRIPE_API_KEY', 'LEAKY_PAYMENTS'],
    fault({ LEAKY_PAYMENTS: payments, LEAKY_STRIPE_API_KEY: key }) {
      if (payments !== 'stripe') return null;
      if (!key) return 'required when LEAKY_PAYMENTS is stripe';
      if (key.startsWith('pk_'))
        return 'is a publishable key, which can take no money: a secret key (sk_…) or a restricted one (rk_…) is needed';
      return null;
    },
  },
];

export const shape = (env: Env<typeof schema> & ProviderEnv & ProcessEnv) => ({
  payments: {
    provider: env.LEAKY_PAYMENTS ?? 'simulator',
    /** Why the default is a fault here; null: it is none, or was not needed */
    fault: silentSimulator(env),
    stripe: { apiKey: env.LEAKY_STRIPE_API_KEY, baseUrl: env.LEAKY_STRIPE_BASE_URL },
  },
  purchase: {
    limitSeconds: env.LEAKY_PURCHASE_LIMIT_SECONDS,
    approvalAboveTokens: env.LEAKY_APPROVAL_ABOVE_TOKENS,
    openPerCaller: env.LEAKY_PURCHASES_OPEN_PER_CALLER,
    steps: env.LEAKY_PURCHASE_STEPS,
  },
});
