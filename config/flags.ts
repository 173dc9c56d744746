import { flag, type Env } from './fields.js';

export const schema = {
  LEAKY_FLAG_QUOTA_ENFORCEMENT: flag(true),
  LEAKY_FLAG_SAGA_PURCHASES: flag(true),
  LEAKY_FLAG_RATE_LIMITING: flag(true),
  LEAKY_FLAG_API_KEY_VALIDATION: flag(true),
};

export const shape = (env: Env<typeof schema>) => ({
  flags: {
    quotaEnforcement: env.LEAKY_FLAG_QUOTA_ENFORCEMENT,
    sagaPurchases: env.LEAKY_FLAG_SAGA_PURCHASES,
    rateLimiting: env.LEAKY_FLAG_RATE_LIMITING,
    apiKeyValidation: env.LEAKY_FLAG_API_KEY_VALIDATION,
  },
});
