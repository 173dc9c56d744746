import { z } from 'zod';
import { count, port, secret, type Env } from './fields.js';

export const schema = {
  LEAKY_POSTGRES_URL: secret(z.string().optional().describe('Unset: the embedded PostgreSQL is started'), 'password'),
  LEAKY_POSTGRES_PORT: port(5439).describe('Port of the embedded PostgreSQL'),
  LEAKY_POSTGRES_POOL_SIZE: count(12),
};

export const shape = (env: Env<typeof schema>) => ({
  postgres: { url: env.LEAKY_POSTGRES_URL, embeddedPort: env.LEAKY_POSTGRES_PORT, poolSize: env.LEAKY_POSTGRES_POOL_SIZE },
});
