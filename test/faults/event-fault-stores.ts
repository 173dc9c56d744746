import type { Client } from 'cassandra-driver';
import { createUsageBooks } from '../../adapters/cassandra/usage-books.js';
import { Retention } from '../../adapters/cassandra/usage-buckets.js';
import { createUsageMaintenance } from '../../adapters/cassandra/usage-maintenance.js';
import { createUsageReader } from '../../adapters/cassandra/usage-reader.js';
import type { TestDatabase } from '../support/postgres.js';
import type { TestKeyspace } from '../support/keyspace.js';

/** Where the consumer puts the events, as a count sees it. */
export interface FaultStore {
  name: string;
  /** For the consumer's process */
  environment: Record<string, string>;
  /** Every stored event, read from the raw events: an id that is stored twice is there twice */
  ids(): Promise<string[]>;
  /** Events as reports count them; a roll-up could count one twice without a second row. @throws Error when roll-ups and events differ */
  counted(): Promise<number>;
}

export function postgresStore({ pool, url }: TestDatabase): FaultStore {
  return {
    name: 'PostgreSQL',
    environment: { LEAKY_POSTGRES_URL: url },
    ids: async () => (await pool.query<{ id: string }>('SELECT id FROM usage_events')).rows.map((row) => row.id),
    counted: async () => {
      const counts = await pool.query<{ count: number }>(
        `SELECT coalesce((SELECT sum(events) FROM usage_deltas), 0)::int
              + coalesce((SELECT sum(events) FROM usage_rollups WHERE grain = 60), 0)::int AS count`,
      );
      return counts.rows[0]?.count ?? 0;
    },
  };
}

const RETENTION = new Retention(90);
const DAY_MS = 86_400_000;

/** @param database where the consumer finds all that is not usage */
export function cassandraStore({ client, options }: TestKeyspace, database: TestDatabase): FaultStore {
  return {
    name: 'Cassandra',
    environment: {
      LEAKY_POSTGRES_URL: database.url,
      LEAKY_CASSANDRA_CONTACT_POINTS: options.contactPoints.join(','),
      LEAKY_CASSANDRA_KEYSPACE: options.keyspace,
      LEAKY_CASSANDRA_LOCAL_DATACENTER: options.localDataCenter,
      LEAKY_CASSANDRA_TIMEOUT_MS: String(options.timeoutMs),
    },
    ids: () => idsOf(client),
    counted: async () => {
      const maintenance = createUsageMaintenance(client, RETENTION, { quietFraction: 0 });
      while (!(await maintenance.fold(1_000)).done);
      const differing = await createUsageBooks(client, RETENTION).rollUpMismatches();
      if (differing > 0) throw new Error(`${differing} roll-ups differ from a recount`);
      const window = { from: new Date(Date.now() - DAY_MS), to: new Date(Date.now() + DAY_MS) };
      return (await createUsageReader(client, RETENTION).summarise('openai', 'all', window, 1)).events;
    },
  };
}

const PAGE = 5_000;

async function idsOf(client: Client): Promise<string[]> {
  const ids: string[] = [];
  let pageState: string | undefined;
  do {
    const options = { fetchSize: PAGE, ...(pageState !== undefined && { pageState }) };
    const page = await client.execute('SELECT id FROM token_usage_by_provider', [], options);
    ids.push(...page.rows.map(({ id }) => String(id)));
    pageState = page.pageState ?? undefined;
  } while (pageState !== undefined);
  return ids;
}
