import { count, type Env } from './fields.js';
import { origins, trustedProxies } from './network.js';

export const schema = {
  LEAKY_CORS_ORIGINS: origins('*', { any: true }).describe('Origins of the pages that may call, comma-separated; * is all'),
  LEAKY_TRUST_PROXY: trustedProxies('').describe(
    'Proxies in front of the gateway whose X-Forwarded-For counts: their number, or addresses, networks, loopback, uniquelocal, comma-separated; true: any',
  ),
  LEAKY_TRUSTED_GATEWAYS: trustedProxies('loopback').describe('The same for the services behind the gateway: where the gateways are'),
  LEAKY_MAX_CONNECTIONS: count(10_000).describe('Open connections of one server; more are closed at once'),
  LEAKY_MAX_CONNECTIONS_PER_ADDRESS: count(2_500).describe(
    'Open connections of one address (IPv6: /64) to one server; more get 503. Trusted proxies and gateways have no such limit',
  ),
  LEAKY_STALLED_ANSWER_MS: count(30_000).describe('How long an answer may wait for a client that takes none of it before it is cut'),
  LEAKY_BODY_LIMIT_BYTES: count(1_048_576).describe('Larger request bodies are refused with 413'),
};

export const shape = (env: Env<typeof schema>) => ({
  http: {
    corsOrigins: env.LEAKY_CORS_ORIGINS,
    trustedProxies: env.LEAKY_TRUST_PROXY,
    trustedGateways: env.LEAKY_TRUSTED_GATEWAYS,
    connections: env.LEAKY_MAX_CONNECTIONS,
    connectionsPerAddress: env.LEAKY_MAX_CONNECTIONS_PER_ADDRESS,
    stalledAnswerMs: env.LEAKY_STALLED_ANSWER_MS,
    bodyLimitBytes: env.LEAKY_BODY_LIMIT_BYTES,
  },
});
