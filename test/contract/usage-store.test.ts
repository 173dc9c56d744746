import { Retention } from '../../adapters/cassandra/usage-buckets.js';
import { createUsageBooks } from '../../adapters/cassandra/usage-books.js';
import * as cassandra from '../../adapters/cassandra/usage-maintenance.js';
import * as cassandraReader from '../../adapters/cassandra/usage-reader.js';
import * as cassandraSink from '../../adapters/cassandra/usage-sink.js';
import { countRollUpMismatches } from '../../adapters/postgres/usage-audit.js';
import { createUsageMaintenance } from '../../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../../adapters/postgres/usage-reader.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { withKeyspace } from '../support/keyspace.js';
import { withDatabase } from '../support/postgres.js';
import { usageStoreLaws } from './usage-store.js';

describe('usage store on PostgreSQL', () => {
  const database = withDatabase();
  usageStoreLaws(
    () => ({
      sink: () => createUsageSink(database().pool),
      reader: () => createUsageReader(database().pool),
      maintenance: () => createUsageMaintenance(database().pool),
      mismatches: () => countRollUpMismatches(database().pool),
      falsify: async () => void (await database().pool.query('UPDATE usage_rollups SET tokens = tokens + 1 WHERE grain = 600')),
    }),
    { scale: 1 },
  );
});

/** The events of the laws are months old. */
const YEARS = 8 * 365;

describe('usage store on Cassandra', () => {
  const keyspace = withKeyspace();
  const retention = new Retention(YEARS);
  usageStoreLaws(
    () => ({
      sink: () => cassandraSink.createUsageSink(keyspace().client, retention),
      reader: () => cassandraReader.createUsageReader(keyspace().client, retention),
      maintenance: () => cassandra.createUsageMaintenance(keyspace().client, retention, { quietFraction: 0 }),
      mismatches: () => createUsageBooks(keyspace().client, retention).rollUpMismatches(),
      falsify: async () => {
        const { client } = keyspace();
        const row = (await client.execute('SELECT provider, grain, period, bucket, tokens FROM usage_rollups LIMIT 1')).first();
        await client.execute('UPDATE usage_rollups SET tokens = ? WHERE provider = ? AND grain = ? AND period = ? AND bucket = ?', [
          (row.tokens as bigint) + 1n,
          row.provider,
          row.grain,
          row.period,
          row.bucket,
        ]);
      },
    }),
    { scale: 0.2 },
  );
});
