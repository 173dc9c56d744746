import type { UsageMaintenance, UsageSink } from '../activities/ports.js';
import type { UsageBooks } from '../activities/reconciliation-ports.js';
import type { Database } from '../adapters/postgres/pool.js';
import { createUsageMaintenance } from '../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../adapters/postgres/usage-reader.js';
import { createUsageSink } from '../adapters/postgres/usage-sink.js';
import type { UsageReader } from '../api/analytics/ports.js';
import type { Config } from '../config.js';
import { openCassandraUsage, usesCassandra } from './cassandra.js';

export interface UsageStore {
  sink: UsageSink;
  reader: UsageReader;
  maintenance: UsageMaintenance;
  /** For audits; null when the events are in the ledger's database, whose audit reads them itself */
  books: UsageBooks | null;
  close(): Promise<void>;
}

/** Where usage events are kept and read: Cassandra when it is configured, the ledger's database otherwise. */
export function openUsageStore(config: Config, database: () => Database): UsageStore {
  if (usesCassandra(config)) return openCassandraUsage(config);
  return {
    sink: createUsageSink(database()),
    reader: createUsageReader(database()),
    maintenance: createUsageMaintenance(database()),
    books: null,
    close: () => Promise.resolve(),
  };
}
