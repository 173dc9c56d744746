import type { Client } from 'cassandra-driver';
import { randomBytes } from 'node:crypto';
import { connectCassandra, type CassandraOptions } from '../../adapters/cassandra/connection.js';
import { migrateCassandra, type MigrateOptions } from '../../adapters/cassandra/migrate.js';
import { startTestCassandra, TEST_DATA_CENTER } from './cassandra.js';

const HOOK_TIMEOUT_MS = 240_000;
/** Of a busy machine: the node flushes what it has in memory first. */
const DROP_TIMEOUT_MS = 120_000;

export interface TestKeyspace {
  client: Client;
  options: MigrateOptions;
}

export const keyspaceOptions = (address: string): MigrateOptions & CassandraOptions => ({
  contactPoints: address.split(','),
  localDataCenter: TEST_DATA_CENTER,
  keyspace: `test_${randomBytes(6).toString('hex')}`,
  replication: { class: 'SimpleStrategy', replication_factor: 1 },
  consistency: 'LOCAL_QUORUM',
  tls: null,
  timeoutMs: 20_000,
  speculateAfterMs: 0,
  patienceMs: 20_000,
});

/** A migrated keyspace of its own for the enclosing `describe`, dropped after it, as `withDatabase` is one of PostgreSQL. */
export function withKeyspace(): () => TestKeyspace {
  let keyspace: TestKeyspace | undefined;
  before('a fresh keyspace', async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    const options = keyspaceOptions(await startTestCassandra());
    await migrateCassandra(options);
    keyspace = { client: await connectCassandra(options), options };
  });
  after('drop the keyspace', async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    if (!keyspace) return;
    const unhurried = { prepare: false, isIdempotent: false, readTimeout: DROP_TIMEOUT_MS };
    await keyspace.client.execute(`DROP KEYSPACE ${keyspace.options.keyspace}`, [], unhurried);
    await keyspace.client.shutdown();
  });
  return () => {
    if (!keyspace) throw new Error('the keyspace exists only while tests run');
    return keyspace;
  };
}
