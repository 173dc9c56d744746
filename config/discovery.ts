import { z } from 'zod';
import { local, type AddressEnv } from './addresses.js';
import type { Env } from './fields.js';

export const schema = {
  LEAKY_AUTH_URL: z.url().optional().describe('Where the auth service is; default: this host'),
  LEAKY_TOKENS_URL: z.url().optional().describe('Where the token service is; default: this host'),
  LEAKY_ANALYTICS_URL: z.url().optional().describe('Where the analytics service is; default: this host'),
};

export const shape = (env: Env<typeof schema> & AddressEnv) => ({
  services: {
    auth: env.LEAKY_AUTH_URL ?? local(env, env.LEAKY_AUTH_PORT),
    tokens: env.LEAKY_TOKENS_URL ?? local(env, env.LEAKY_TOKENS_PORT),
    analytics: env.LEAKY_ANALYTICS_URL ?? local(env, env.LEAKY_ANALYTICS_PORT),
  },
});
