import { Client } from 'cassandra-driver';
import { shared, type Provision } from './provide.js';

/** Unless told otherwise the official image has the name of the data centre from its snitch. */
export const TEST_DATA_CENTER = 'datacenter1';

export const cassandraProvision: Provision = {
  name: 'Cassandra',
  variable: 'LEAKY_TEST_CASSANDRA',
  script: 'cassandra',
  ports: 2,
  containers: (port) => [
    [
      ...['--publish', `127.0.0.1:${port}:9042`, '--env', 'MAX_HEAP_SIZE=512M', '--env', 'HEAP_NEWSIZE=128M'],
      ...['--env', 'CASSANDRA_ENDPOINT_SNITCH=SimpleSnitch', 'cassandra:5.0.9'],
    ],
  ],
  async answers(address) {
    const client = new Client({ contactPoints: address.split(','), localDataCenter: TEST_DATA_CENTER });
    try {
      await client.connect();
    } finally {
      await client.shutdown();
    }
  },
};

/** The one Cassandra of the mocha run. Resolves with host:port, comma-separated. Tests keep apart by keyspaces of their own. */
export const startTestCassandra = shared(cassandraProvision);
