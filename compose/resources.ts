import type { Publisher } from '../adapters/kafka/publisher.js';
import type { RunningResolver } from '../adapters/discovery/resolver.js';
import { createPostgresKeyRevocations } from '../adapters/postgres/key-revocations.js';
import { createMemberships } from '../adapters/postgres/memberships.js';
import { createPostgresStanding } from '../adapters/postgres/standings.js';
import { createPool, type Database } from '../adapters/postgres/pool.js';
import { connectRedis, type RedisClient } from '../adapters/redis/connection.js';
import { createProviders } from '../adapters/providers/index.js';
import { connectTemporal, type Temporal } from '../adapters/temporal/connection.js';
import type { ServiceName } from '../api/gateway/ports.js';
import type { Memberships } from '../api/http/caller.js';
import { createAuthenticator, type Authenticator } from '../api/http/authenticate.js';
import type { LocalService } from '../api/http/service.js';
import type { KeyRevocations } from '../api/http/key-revocations.js';
import { ConfigError, requireFor, type Config } from '../config.js';
import { reportPool } from '../telemetry/gauges.js';
import type { Logger } from '../telemetry/log.js';
import { installTemporalRuntime } from '../telemetry/temporal-runtime.js';
import { openServices } from './discovery.js';
import { openEventStores, type EventSinks } from './event-stores.js';
import { hasKafka, kafkaSinks, openPublisher } from './kafka.js';
import { openSharedKeys } from './shared-keys.js';
import { createLimits, type Limits } from './limits.js';
import { openUsageStore, type UsageStore } from './usage-store.js';
import { temporalOptions } from './temporal.js';

/**
 * What the services of one process share. Each resource is opened when the first service asks for it and closed after the
 * services, latest first; so `leaky auth` opens no connection to Temporal, and `leaky start` only one.
 */
export interface Resources {
  config: Config;
  log: Logger;
  database(): Database;
  temporal(): Promise<Temporal>;
  providers(): ReturnType<typeof createProviders>;
  /** Where usage is kept and read */
  usageStore(): UsageStore;
  /** The stores that analytics reads */
  eventStores(): EventSinks;
  /** Where activities put their events */
  events(): EventSinks;
  /** Of the configured Kafka */
  publisher(): Publisher;
  memberships(): Promise<Memberships>;
  /** null: none is configured */
  redis(): Promise<RedisClient | null>;
  limits(): Promise<Limits>;
  /** Where the instances of the services are */
  services(): Promise<RunningResolver>;
  revocations(): Promise<KeyRevocations>;
  /** Services of this process, for a gateway in it */
  local: Map<ServiceName, LocalService>;
  /** Proves callers with the keys of the auth service, over HTTP */
  authenticator(): Promise<Authenticator>;
  close(): Promise<void>;
}

export interface ResourceOptions {
  config: Config;
  log: Logger;
}

const TEMPORAL_PATIENCE_MS = 30_000;

export function createResources({ config, log }: ResourceOptions): Resources {
  const closings: (() => Promise<void>)[] = [];

  const database = once(() => {
    const pool = createPool(databaseUrl(config), config.postgres.poolSize);
    const unreported = reportPool(pool);
    closings.push(() => pool.end().finally(unreported));
    return pool;
  });
  const temporal = once(async () => {
    const options = temporalOptions(config);
    installTemporalRuntime(log, { metrics: config.telemetry.engineMetrics });
    const connected = await connectTemporal({ ...options, patienceMs: TEMPORAL_PATIENCE_MS });
    closings.push(() => connected.close());
    return connected;
  });
  const usageStore = once(() => {
    const store = openUsageStore(config, database);
    closings.push(() => store.close());
    return store;
  });
  const eventStores = once(() => openEventStores({ database, usageStore }));
  const publisher = once(() => {
    const opened = openPublisher(config, log);
    closings.push(() => opened.close());
    return opened;
  });
  const providers = once(() => {
    requireFor(config, 'providers');
    const created = createProviders({ config, log });
    closings.push(() => created.close());
    return created;
  });
  const revocations = once(async (): Promise<KeyRevocations> => {
    const listening = await createPostgresKeyRevocations(databaseUrl(config), log);
    closings.push(() => listening.close());
    return listening;
  });
  const redis = once(async () => {
    if (!config.redis.address) return null;
    const client = await connectRedis(config.redis, log);
    closings.push(() => Promise.resolve(client.disconnect()));
    return client;
  });
  const services = once(async () => {
    const running = await openServices({ config, log, redis });
    closings.push(() => Promise.resolve(running.close()));
    return running;
  });
  const authenticator = once(async () => {
    const parts = { config, log, revocations: await revocations(), services: await services() };
    const shared = openSharedKeys(await redis(), parts);
    if (shared) closings.push(() => Promise.resolve(shared.close()));
    const created = createAuthenticator({
      ...parts,
      standing: createPostgresStanding(database),
      ...(shared && { exchange: shared.exchange }),
    });
    closings.push(() => Promise.resolve(created.close()));
    return created;
  });
  return {
    config,
    log,
    local: new Map(),
    database,
    temporal,
    providers,
    usageStore,
    eventStores,
    events: once(() => (hasKafka(config) ? kafkaSinks(config, publisher()) : eventStores())),
    publisher,
    memberships: once(async () => createMemberships(database(), await revocations())),
    redis,
    services,
    limits: once(async () => createLimits(await redis(), config, log)),
    revocations,
    authenticator,
    close: async () => {
      const faults: unknown[] = [];
      for (const close of closings.splice(0).reverse()) await close().catch((error: unknown) => faults.push(error));
      if (faults.length > 0) throw faults[0];
    },
  };
}

/** @throws ConfigError when no database is configured */
export function databaseUrl(config: Config): string {
  if (config.postgres.url) return config.postgres.url;
  throw new ConfigError('LEAKY_POSTGRES_URL: required here (postgres://user:password@host:port/database)');
}

function once<T>(open: () => T): () => T {
  let opened: { value: T } | undefined;
  return () => (opened ??= { value: open() }).value;
}
