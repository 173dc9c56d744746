import { z } from 'zod';
import { count, flag, secret, tlsOptions, tlsRules, tlsSchema, type Env } from './fields.js';
import { hostPorts } from './network.js';
import type { Rule } from './rules.js';

export const schema = {
  LEAKY_KAFKA_BROKERS: hostPorts().describe('host:port, comma-separated. Unset: events go straight to the usage store'),
  LEAKY_KAFKA_TOPIC_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9._-]{0,100}$/, 'letters, digits, dots, dashes and underscores')
    .default('')
    .describe('Put before the names of topics and groups: several systems can share a cluster'),
  LEAKY_KAFKA_PARTITIONS: count(6).describe('Of each topic; bounds how many consumers share the work. Read by setup'),
  LEAKY_KAFKA_REPLICATION_FACTOR: count(3).describe('Copies of each partition; 1 on a single broker. Read by setup'),
  LEAKY_KAFKA_MIN_INSYNC_REPLICAS: count(2).describe(
    'Copies that must have an event before it counts; 1 on a single broker. Read by setup',
  ),
  LEAKY_KAFKA_RETENTION_HOURS: count(168).describe('How long a consumer may be away without losing events. Read by setup'),
  LEAKY_KAFKA_DEAD_LETTER_RETENTION_HOURS: count(720).describe('How long dead letters wait for an operator. Read by setup'),
  LEAKY_KAFKA_SESSION_TIMEOUT_MS: count(30_000, 1_000).describe('A consumer silent for longer loses its partitions to the others'),
  LEAKY_KAFKA_TLS: flag(false).describe('Speak TLS with the brokers'),
  ...tlsSchema('LEAKY_KAFKA'),
  LEAKY_KAFKA_SASL_MECHANISM: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional().describe('Unset: no login at the brokers'),
  LEAKY_KAFKA_SASL_USERNAME: z.string().optional().describe('Login at the brokers'),
  LEAKY_KAFKA_SASL_PASSWORD: secret(z.string().optional().describe('Password of the login at the brokers')),
};

export const rules: Rule<Env<typeof schema>>[] = [
  ...tlsRules('LEAKY_KAFKA', (env: Env<typeof schema>) => env.LEAKY_KAFKA_TLS, 'LEAKY_KAFKA_TLS', 'LEAKY_KAFKA_TLS is off'),
  {
    of: ['LEAKY_KAFKA_SASL_MECHANISM', 'LEAKY_KAFKA_SASL_USERNAME', 'LEAKY_KAFKA_SASL_PASSWORD'],
    fault({ LEAKY_KAFKA_SASL_MECHANISM: mechanism, LEAKY_KAFKA_SASL_USERNAME: user, LEAKY_KAFKA_SASL_PASSWORD: password }) {
      const parts = [mechanism, user, password].filter((part) => part !== undefined).length;
      return parts === 0 || parts === 3
        ? null
        : 'and LEAKY_KAFKA_SASL_USERNAME and LEAKY_KAFKA_SASL_PASSWORD are set together or not at all';
    },
  },
  {
    for: 'topics',
    of: ['LEAKY_KAFKA_MIN_INSYNC_REPLICAS', 'LEAKY_KAFKA_REPLICATION_FACTOR'],
    fault: (env) =>
      env.LEAKY_KAFKA_MIN_INSYNC_REPLICAS <= env.LEAKY_KAFKA_REPLICATION_FACTOR
        ? null
        : 'is above LEAKY_KAFKA_REPLICATION_FACTOR: no event could ever be stored',
  },
];

export const shape = (env: Env<typeof schema>) => ({
  kafka: {
    brokers: env.LEAKY_KAFKA_BROKERS,
    topicPrefix: env.LEAKY_KAFKA_TOPIC_PREFIX,
    partitions: env.LEAKY_KAFKA_PARTITIONS,
    replicationFactor: env.LEAKY_KAFKA_REPLICATION_FACTOR,
    minInsyncReplicas: env.LEAKY_KAFKA_MIN_INSYNC_REPLICAS,
    retentionHours: env.LEAKY_KAFKA_RETENTION_HOURS,
    deadLetterRetentionHours: env.LEAKY_KAFKA_DEAD_LETTER_RETENTION_HOURS,
    sessionTimeoutMs: env.LEAKY_KAFKA_SESSION_TIMEOUT_MS,
    tls: env.LEAKY_KAFKA_TLS ? tlsOptions('LEAKY_KAFKA', env) : null,
    sasl: {
      mechanism: env.LEAKY_KAFKA_SASL_MECHANISM,
      username: env.LEAKY_KAFKA_SASL_USERNAME,
      password: env.LEAKY_KAFKA_SASL_PASSWORD,
    },
  },
});
