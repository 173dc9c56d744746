import assert from 'node:assert/strict';
import { connectCassandra } from '../../adapters/cassandra/connection.js';
import { migrateCassandra } from '../../adapters/cassandra/migrate.js';
import { startTestCassandra } from '../support/cassandra.js';
import { keyspaceOptions } from '../support/keyspace.js';

describe('schema of Cassandra', function () {
  this.timeout(240_000);

  it('is made once by several that begin at the same time, and not again', async () => {
    const options = keyspaceOptions(await startTestCassandra());
    const applied = await Promise.all([1, 2, 3].map(() => migrateCassandra(options)));
    assert.deepEqual(applied.map((names) => names.length).sort(), [0, 0, 1]);
    assert.deepEqual(await migrateCassandra(options), []);
    const client = await connectCassandra(options);
    try {
      const { rows } = await client.execute('SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?', [options.keyspace]);
      assert.deepEqual(rows.map((row) => row.table_name as string).sort(), [
        ...['schema_lock', 'schema_migrations', 'token_usage_by_owner', 'token_usage_by_provider', 'token_usage_events'],
        ...['token_usage_owner_days', 'usage_marks', 'usage_rollup_users', 'usage_rollups'],
      ]);
      await client.execute(`DROP KEYSPACE ${options.keyspace}`, [], { prepare: false, isIdempotent: false, readTimeout: 120_000 });
    } finally {
      await client.shutdown();
    }
  });

  it('a missing keyspace says what to do, at once; an address without a server is given up in time', async () => {
    const options = keyspaceOptions(await startTestCassandra());
    const began = Date.now();
    await assert.rejects(connectCassandra(options), /run the setup command/);
    assert.ok(Date.now() - began < options.patienceMs / 2, 'no waiting would have helped');
    await assert.rejects(
      connectCassandra({ ...options, contactPoints: ['127.0.0.1:1'], patienceMs: 1_000 }),
      /No connection to Cassandra at 127.0.0.1:1: .*ECONNREFUSED/,
    );
  });
});
