import { count, list, type Env } from './fields.js';

export const schema = {
  LEAKY_CORS_ORIGINS: list('*').describe('Comma-separated origins'),
  LEAKY_TRUST_PROXY: list().describe(
    "Proxies in front of the gateway whose X-Forwarded-For counts: addresses, networks or 'loopback', comma-separated",
  ),
  LEAKY_TRUSTED_GATEWAYS: list('loopback').describe('The same for the services behind the gateway: where the gateways are'),
  LEAKY_BODY_LIMIT_BYTES: count(1_048_576).describe('Larger request bodies are refused with 413'),
};

export const shape = (env: Env<typeof schema>) => ({
  http: {
    corsOrigins: env.LEAKY_CORS_ORIGINS,
    trustedProxies: env.LEAKY_TRUST_PROXY,
    trustedGateways: env.LEAKY_TRUSTED_GATEWAYS,
    bodyLimitBytes: env.LEAKY_BODY_LIMIT_BYTES,
  },
});
