import { z } from 'zod';
import { count, flag, json, secret, tlsOptions, tlsRules, tlsSchema, type Env } from './fields.js';
import { hostPorts } from './network.js';
import type { Rule } from './rules.js';

/** What `CREATE KEYSPACE` takes: the class, and a number of copies for each data centre, or one for all. */
const replication = z
  .record(z.string().regex(/^[\w.-]+$/), z.union([z.string().regex(/^[\w.]+$/), z.int().min(1)]))
  .refine((map) => typeof map.class === 'string', { path: ['class'], message: 'required, such as NetworkTopologyStrategy' });

export const schema = {
  LEAKY_CASSANDRA_CONTACT_POINTS: hostPorts().describe('host:port, comma-separated. Unset: usage is kept in PostgreSQL'),
  LEAKY_CASSANDRA_KEYSPACE: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,47}$/, 'lower-case letters, digits and _, at most 48')
    .default('leaky')
    .describe('Where the tables are; `leaky setup` makes it'),
  LEAKY_CASSANDRA_LOCAL_DATACENTER: z.string().default('datacenter1').describe('The data centre whose nodes this process asks'),
  LEAKY_CASSANDRA_REPLICATION: json(replication, { class: 'SimpleStrategy', replication_factor: 1 }).describe(
    'JSON of the keyspace that setup makes, such as {"class": "NetworkTopologyStrategy", "dc1": 3}',
  ),
  LEAKY_CASSANDRA_CONSISTENCY: z
    .enum(['LOCAL_QUORUM', 'QUORUM', 'EACH_QUORUM', 'ALL', 'LOCAL_ONE', 'ONE'])
    .default('LOCAL_QUORUM')
    .describe('Of every read and write. Below a quorum a report may miss what was just stored'),
  LEAKY_CASSANDRA_USERNAME: z.string().optional().describe('Unset: the servers ask for no password'),
  LEAKY_CASSANDRA_PASSWORD: secret(z.string().optional().describe('Of that user')),
  LEAKY_CASSANDRA_TIMEOUT_MS: count(5_000).describe('For one request; keep it above the time-outs of the server'),
  LEAKY_CASSANDRA_SPECULATE_AFTER_MS: count(500, 0).describe('Ask a second node when the first has not answered by then; 0: never'),
  LEAKY_CASSANDRA_TLS: flag(false).describe('Encrypt the connections and check the certificates of the servers'),
  ...tlsSchema('LEAKY_CASSANDRA'),
};

export const rules: Rule<Env<typeof schema>>[] = [
  ...tlsRules('LEAKY_CASSANDRA', (env: Env<typeof schema>) => env.LEAKY_CASSANDRA_TLS, 'LEAKY_CASSANDRA_TLS', 'LEAKY_CASSANDRA_TLS is off'),
  {
    of: ['LEAKY_CASSANDRA_PASSWORD', 'LEAKY_CASSANDRA_USERNAME'],
    fault: ({ LEAKY_CASSANDRA_PASSWORD: password, LEAKY_CASSANDRA_USERNAME: user }) =>
      (password === undefined) === (user === undefined) ? null : 'user name and password are set together or not at all',
  },
];

export const shape = (env: Env<typeof schema>) => ({
  cassandra: {
    contactPoints: env.LEAKY_CASSANDRA_CONTACT_POINTS,
    keyspace: env.LEAKY_CASSANDRA_KEYSPACE,
    localDataCenter: env.LEAKY_CASSANDRA_LOCAL_DATACENTER,
    replication: env.LEAKY_CASSANDRA_REPLICATION,
    consistency: env.LEAKY_CASSANDRA_CONSISTENCY,
    username: env.LEAKY_CASSANDRA_USERNAME,
    password: env.LEAKY_CASSANDRA_PASSWORD,
    timeoutMs: env.LEAKY_CASSANDRA_TIMEOUT_MS,
    speculateAfterMs: env.LEAKY_CASSANDRA_SPECULATE_AFTER_MS,
    tls: env.LEAKY_CASSANDRA_TLS ? tlsOptions('LEAKY_CASSANDRA', env) : null,
  },
});
