import assert from 'node:assert/strict';
import { createUsageReader } from '../../adapters/postgres/usage-reader.js';
import { createPool } from '../../adapters/postgres/pool.js';
import type { UsageReader } from '../../api/analytics/ports.js';
import { createAnalyticsApp, operations } from '../../api/analytics/service.js';
import { listen, type RunningServer } from '../../api/http/service.js';
import { openCassandraUsage } from '../../compose/cassandra.js';
import { loadConfig } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { startTestCassandra, TEST_DATA_CENTER } from '../support/cassandra.js';
import { layCable, type Cable } from '../support/cable.js';
import { startTestPostgres } from '../support/postgres.js';
import { keyspaceOptions } from '../support/keyspace.js';
import { migrateCassandra } from '../../adapters/cassandra/migrate.js';
import { id } from './events.js';

// Within the retention: what is older is read from nowhere.
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
const queryOf = (path: string): string =>
  path.endsWith('/timeseries') ? `from=${hoursAgo(6)}&to=${hoursAgo(0)}&step=1h` : 'provider=openai';

describe('analytics while its store is away', function () {
  this.timeout(240_000);
  const endings: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  async function serve(usage: UsageReader): Promise<RunningServer> {
    const app = createAnalyticsApp({
      config: loadConfig({}),
      log: createLogger('silent'),
      usage,
      memberships: { orgsOf: () => Promise.resolve([]), isMember: () => Promise.resolve(false) } as never,
      authenticate: (_req, res, next) => {
        res.locals.caller = { userId: id(1), username: 'test', roles: ['ADMIN'], orgs: [], apiKeyId: null, keyTier: null } as never;
        next();
      },
    });
    const server = await listen(app, '127.0.0.1', 0);
    endings.push(() => server.close(100));
    return server;
  }

  /** Every route that reads the store: 503, and when to come back. */
  async function everyRouteSays503(server: RunningServer): Promise<void> {
    const routes = operations.filter((operation) => operation.method === 'get' && !operation.public);
    assert.ok(routes.length >= 4);
    for (const { path } of routes) {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}?${queryOf(path)}`, { signal: AbortSignal.timeout(60_000) });
      const body = await answer.text();
      assert.equal(answer.status, 503, `${path}: ${body}`);
      assert.ok(Number(answer.headers.get('retry-after')) >= 1, path);
      assert.match(body, /SERVICE_UNAVAILABLE/);
    }
  }

  function cassandra(contactPoint: string, keyspace: string): UsageReader {
    const usage = openCassandraUsage(
      loadConfig({
        LEAKY_CASSANDRA_CONTACT_POINTS: contactPoint,
        LEAKY_CASSANDRA_KEYSPACE: keyspace,
        LEAKY_CASSANDRA_LOCAL_DATACENTER: TEST_DATA_CENTER,
        LEAKY_CASSANDRA_TIMEOUT_MS: '1500',
      }),
    );
    endings.push(() => usage.close());
    return usage.reader;
  }

  it('Cassandra that was never there', async () => {
    await everyRouteSays503(await serve(cassandra('127.0.0.1:1', 'leaky')));
  });

  it('Cassandra without the keyspace', async () => {
    await everyRouteSays503(await serve(cassandra(await startTestCassandra(), 'not_made')));
  });

  for (const how of ['cut', 'hang'] as const) {
    it(`Cassandra whose line is ${how === 'cut' ? 'cut' : 'silent'}`, async () => {
      const address = await startTestCassandra();
      const { keyspace, ...options } = keyspaceOptions(address);
      await migrateCassandra({ ...options, keyspace });
      const cable = await cableTo(address);
      const reader = cassandra(`127.0.0.1:${cable.port}`, keyspace);
      await reader.ping();
      const server = await serve(reader);
      cable[how]();
      await everyRouteSays503(server);
    });
  }

  for (const how of ['cut', 'hang'] as const) {
    it(`PostgreSQL whose line is ${how === 'cut' ? 'cut' : 'silent'}`, async () => {
      const url = new URL(await startTestPostgres());
      const cable = await cableTo(url.host);
      url.port = String(cable.port);
      const pool = createPool(url.href, 2, { statementTimeoutMs: 500, connectTimeoutMs: 500 });
      endings.push(() => pool.end());
      await pool.query('SELECT 1');
      const server = await serve(createUsageReader(pool));
      cable[how]();
      await everyRouteSays503(server);
    });
  }

  async function cableTo(address: string): Promise<Cable> {
    const cable = await layCable(Number(address.split(':')[1]));
    endings.push(() => cable.close());
    return cable;
  }
});
