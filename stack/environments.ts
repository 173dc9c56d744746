import type { ServiceRole } from '../adapters/postgres/grants.js';
import type { Secrets } from '../embedded/secrets.js';
import type { StackOptions } from './start.js';

export interface Addresses {
  postgresUrl: string;
  redis: string;
  kafka: string;
  cassandra: string;
  temporal: string;
}

/** Each service as a role of its own in the database; `leaky migrate` gives it what it needs. */
export function asRole(postgresUrl: string, role: ServiceRole): string {
  const url = new URL(postgresUrl);
  url.username = role;
  return url.href;
}

/** Switches every real part on. Only the auth service gets the master key and the administrator's password. */
export function environments({ ports, environment }: StackOptions, addresses: Addresses, secrets: Secrets) {
  const common: NodeJS.ProcessEnv = {
    // Kafka's client would otherwise say of each partitioner what every user of it knows.
    KAFKAJS_NO_PARTITIONER_WARNING: '1',
    ...environment,
    LEAKY_GATEWAY_PORT: String(ports.gateway),
    LEAKY_AUTH_PORT: String(ports.auth),
    LEAKY_TOKENS_PORT: String(ports.tokens[0]),
    LEAKY_ANALYTICS_PORT: String(ports.analytics),
    LEAKY_WORKER_PORT: String(ports.worker),
    LEAKY_STUB_QWEN_PORT: String(ports.stubs.qwen),
    LEAKY_STUB_GEMINI_PORT: String(ports.stubs.gemini),
    LEAKY_STUB_OPENAI_PORT: String(ports.stubs.openai),
    // Services register in Redis; one that stops answering leaves the rotation, and both token services take calls.
    LEAKY_DISCOVERY: 'registry',
    LEAKY_POSTGRES_URL: addresses.postgresUrl,
    LEAKY_TEMPORAL_ADDRESS: addresses.temporal,
    LEAKY_REDIS_URL: addresses.redis,
    LEAKY_KAFKA_BROKERS: addresses.kafka,
    // One broker can hold one copy.
    LEAKY_KAFKA_REPLICATION_FACTOR: '1',
    LEAKY_KAFKA_MIN_INSYNC_REPLICAS: '1',
    LEAKY_CASSANDRA_CONTACT_POINTS: addresses.cassandra,
  };
  const as = (role: ServiceRole): NodeJS.ProcessEnv => ({ ...common, LEAKY_POSTGRES_URL: asRole(addresses.postgresUrl, role) });
  const auth: NodeJS.ProcessEnv = {
    LEAKY_MASTER_KEY: secrets.masterKey,
    LEAKY_ADMIN_USERNAME: secrets.adminUsername,
    // Two words for one thing would be refused.
    ...(environment.LEAKY_ADMIN_PASSWORD_FILE === undefined && { LEAKY_ADMIN_PASSWORD: secrets.adminPassword }),
    ...as('leaky_auth'),
  };
  const tokens = (port: number): NodeJS.ProcessEnv => ({ ...as('leaky_tokens'), LEAKY_TOKENS_PORT: String(port) });
  return { common, auth, tokens, analytics: as('leaky_analytics'), worker: as('leaky_worker'), gateway: as('leaky_gateway') };
}
