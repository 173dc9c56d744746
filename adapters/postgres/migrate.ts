import { runner } from 'node-pg-migrate';
import path from 'node:path';
import { projectRoot } from '../../root.js';
import { PostgresClient } from './client.js';

/** The SQL files are read from the source tree: compiled code runs from dist/, which holds no SQL. */
const folder = path.join(projectRoot, 'adapters/postgres/migrations');

/**
 * Brings the schema up to date; safe to run from several processes at once (advisory lock). Returns the names applied.
 * @param count how many to apply at most: tests fill the schema of a release before
 */
export async function migrate(databaseUrl: string, count = Infinity): Promise<string[]> {
  const silent = () => undefined;
  const client = new PostgresClient({ connectionString: databaseUrl });
  await client.connect();
  const applied = await runner({
    dbClient: client,
    dir: folder,
    direction: 'up',
    migrationsTable: 'schema_migrations',
    count,
    logger: { debug: silent, info: silent, warn: silent, error: silent },
  }).finally(() => client.end());
  return applied.map((migration) => migration.name);
}
