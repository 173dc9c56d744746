import { list, tlsOptions, tlsSchema, type Env } from './fields.js';

export const schema = {
  LEAKY_KAFKA_BROKERS: list().describe('host:port, comma-separated. Unset: events go straight to the usage store'),
  ...tlsSchema('LEAKY_KAFKA'),
};

export const shape = (env: Env<typeof schema>) => ({
  kafka: { brokers: env.LEAKY_KAFKA_BROKERS, tls: tlsOptions('LEAKY_KAFKA', env) },
});
