import { count, type Env } from './fields.js';
import { origins, trustedProxies } from './network.js';

export const schema = {
  LEAKY_CORS_ORIGINS: origins('*', { any: true }).describe('Origins of the pages that may call, comma-separated; * is all'),
  LEAKY_TRUST_PROXY: trustedProxies('').describe(
    'Proxies in front of the gateway whose X-Forwarded-For counts: their number, or addresses, networks, loopback, uniquelocal, comma-separated; true: any',
  ),
  LEAKY_TRUSTED_GATEWAYS: trustedProxies('loopback').describe('The same for the services behind the gateway: where the gateways are'),
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
