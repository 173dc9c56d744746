import type { UsageMaintenance, UsageSink } from '../activities/ports.js';
import type { UsageBooks } from '../activities/reconciliation-ports.js';
import { connectCassandra, type CassandraOptions } from '../adapters/cassandra/connection.js';
import { migrateCassandra } from '../adapters/cassandra/migrate.js';
import { createUsageBooks } from '../adapters/cassandra/usage-books.js';
import { Retention } from '../adapters/cassandra/usage-buckets.js';
import { createUsageMaintenance } from '../adapters/cassandra/usage-maintenance.js';
import { createUsageReader } from '../adapters/cassandra/usage-reader.js';
import { createUsageSink } from '../adapters/cassandra/usage-sink.js';
import type { UsageReader } from '../api/analytics/ports.js';
import type { Config } from '../config.js';
import type { SetupStep } from './setup.js';

const SETUP_PATIENCE_MS = 60_000;

export const usesCassandra = ({ cassandra }: Config): boolean => cassandra.contactPoints.length > 0;

const options = ({ cassandra }: Config, patienceMs: number): CassandraOptions => ({ ...cassandra, patienceMs });

export const cassandraSetup: SetupStep = {
  name: 'Cassandra',
  wanted: usesCassandra,
  run: ({ config }) => migrateCassandra({ ...options(config, SETUP_PATIENCE_MS), replication: config.cassandra.replication }),
};

export interface CassandraUsage {
  sink: UsageSink;
  reader: UsageReader;
  maintenance: UsageMaintenance;
  books: UsageBooks;
  close(): Promise<void>;
}

/**
 * The usage store on Cassandra, connected when it is first used. While no node answers every use is refused after the time of one
 * request, and the next one tries again; once connected, the driver reconnects by itself.
 */
export function openCassandraUsage(config: Config): CassandraUsage {
  const retention = new Retention(config.schedules.retentionDays);
  const store = untilItWorks(async () => {
    const client = await connectCassandra(options(config, config.cassandra.timeoutMs));
    return {
      client,
      sink: createUsageSink(client, retention),
      reader: createUsageReader(client, retention),
      maintenance: createUsageMaintenance(client, retention),
      books: createUsageBooks(client, retention),
    };
  });
  return {
    sink: { publish: async (events) => (await store()).sink.publish(events) },
    reader: {
      recent: async (...args) => (await store()).reader.recent(...args),
      summarise: async (...args) => (await store()).reader.summarise(...args),
      totals: async (...args) => (await store()).reader.totals(...args),
      series: async (...args) => (await store()).reader.series(...args),
      ping: async () => (await store()).reader.ping(),
    },
    maintenance: {
      fold: async (limit) => (await store()).maintenance.fold(limit),
      purgeOldest: async (before) => (await store()).maintenance.purgeOldest(before),
    },
    books: {
      keptSince: () => new Date(retention.oldest()),
      find: async (ids) => (await store()).books.find(ids),
      async *all() {
        yield* (await store()).books.all();
      },
      rollUpMismatches: async () => (await store()).books.rollUpMismatches(),
    },
    close: async () =>
      void (await store
        .opened()
        ?.then(({ client }) => client.shutdown())
        .catch(() => undefined)),
  };
}

/** Opens once; what failed to open is opened anew by the next one who asks. */
function untilItWorks<T>(open: () => Promise<T>): (() => Promise<T>) & { opened(): Promise<T> | undefined } {
  let opened: Promise<T> | undefined;
  const ask = () => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  return Object.assign(ask, { opened: () => opened });
}
