import { flag, type Env } from './fields.js';

export const schema = {
  LEAKY_FLAG_QUOTA_ENFORCEMENT: flag(true).describe(
    'Off: calls that the quota does not cover are let through and not charged; covered ones are charged as ever',
  ),
  LEAKY_FLAG_SAGA_PURCHASES: flag(true).describe('Off: new purchases are refused with 503; those under way go on'),
  LEAKY_FLAG_RATE_LIMITING: flag(true).describe('Off: the gateway limits no requests, guesses of credentials included; buckets stay'),
  LEAKY_FLAG_API_KEY_VALIDATION: flag(true).describe('Off: API keys are refused with 401, tokens of a login are not'),
};

export const shape = (env: Env<typeof schema>) => ({
  flags: {
    quotaEnforcement: env.LEAKY_FLAG_QUOTA_ENFORCEMENT,
    sagaPurchases: env.LEAKY_FLAG_SAGA_PURCHASES,
    rateLimiting: env.LEAKY_FLAG_RATE_LIMITING,
    apiKeyValidation: env.LEAKY_FLAG_API_KEY_VALIDATION,
  },
});
