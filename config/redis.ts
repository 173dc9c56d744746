import { z } from 'zod';
import { flag, secret, tlsOptions, tlsSchema, type Env } from './fields.js';

export const schema = {
  LEAKY_REDIS_URL: secret(
    z
      .string()
      .regex(/^rediss?:\/\//, 'redis:// or rediss://')
      .optional()
      .describe('redis:// or rediss://; the nodes of a cluster comma-separated. Unset: limits and the key cache live in the process'),
    'password',
  ),
  LEAKY_REDIS_CLUSTER: flag(false).describe('The address names nodes of a Redis Cluster'),
  LEAKY_REDIS_OUTAGE: z
    .enum(['local', 'refuse'])
    .default('local')
    .describe('While Redis is away: decide on limits in the process (local), or answer 503 (refuse)'),
  ...tlsSchema('LEAKY_REDIS'),
};

export const shape = (env: Env<typeof schema>) => ({
  redis: {
    url: env.LEAKY_REDIS_URL,
    cluster: env.LEAKY_REDIS_CLUSTER,
    outage: env.LEAKY_REDIS_OUTAGE,
    tls: tlsOptions('LEAKY_REDIS', env),
  },
});
