import { connectTemporal } from '../../adapters/temporal/connection.js';
import { dropDatabases, startTestPostgres } from './postgres.js';
import { containerName, shared, type Provision } from './provide.js';

const DATABASE = 'leaky_test_temporal';

export const temporalProvision: Provision = {
  name: 'Temporal on PostgreSQL',
  variable: 'LEAKY_TEST_TEMPORAL_CLUSTER',
  script: 'temporal',
  ports: 10,
  // The server shares the database's network, so that the two need no network of their own.
  containers: (port) => [
    [...['--publish', `127.0.0.1:${port}:7233`, '--env', 'POSTGRES_USER=temporal', '--env', 'POSTGRES_PASSWORD=temporal'], 'postgres:18.4'],
    [
      ...['--network', `container:${containerName(port)}`, '--env', 'DB=postgres12_pgx', '--env', 'POSTGRES_SEEDS=127.0.0.1'],
      ...['--env', 'DB_PORT=5432', '--env', 'POSTGRES_USER=temporal', '--env', 'POSTGRES_PWD=temporal'],
      'temporalio/auto-setup:1.29.1',
    ],
  ],
  // On the PostgreSQL of the run: one server less to start.
  environment: async () => {
    const url = await startTestPostgres();
    await dropDatabases(url, DATABASE, `${DATABASE}_visibility`);
    return { TEMPORAL_POSTGRES_URL: url, TEMPORAL_DATABASE: DATABASE, TEMPORAL_CONNECTIONS: '6' };
  },
  async answers(address) {
    const { close } = await connectTemporal({ address, namespace: 'default', patienceMs: 2_000 });
    await close();
  },
};

/**
 * The one Temporal cluster of the mocha run, on PostgreSQL. Resolves with host:port. It may have no namespace yet: making it is
 * the business of the set-up under test.
 */
export const startTestTemporalCluster = shared(temporalProvision);
