import { list, tlsOptions, tlsSchema, type Env } from './fields.js';

export const schema = {
  LEAKY_CASSANDRA_CONTACT_POINTS: list().describe('host:port, comma-separated. Unset: usage is kept in PostgreSQL'),
  ...tlsSchema('LEAKY_CASSANDRA'),
};

export const shape = (env: Env<typeof schema>) => ({
  cassandra: { contactPoints: env.LEAKY_CASSANDRA_CONTACT_POINTS, tls: tlsOptions('LEAKY_CASSANDRA', env) },
});
