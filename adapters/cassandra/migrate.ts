import type { Client } from 'cassandra-driver';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { v4, v5 } from 'uuid';
import { projectRoot } from '../../root.js';
import { connectCassandra, type CassandraOptions } from './connection.js';

/** Read from the source tree, as those of PostgreSQL are. A migration may run again when it was cut off, so it says IF NOT EXISTS throughout. */
const folder = path.join(projectRoot, 'adapters/cassandra/migrations');

export interface MigrateOptions extends CassandraOptions {
  replication: Readonly<Record<string, string | number>>;
}

/** A holder that dies gives the lock up after this time. */
const LOCK_SECONDS = 120;
const LOCK_PATIENCE_MS = 150_000;
const LOCK_RETRY_MS = 200;
/** Changes of the schema take longer than other requests, and the driver waits until all nodes have them. */
const DDL_TIMEOUT_MS = 60_000;

const TABLES = {
  schema_lock: '(name text PRIMARY KEY, owner uuid)',
  schema_migrations: '(name text PRIMARY KEY, applied_at timestamp)',
};

/**
 * Makes the keyspace and brings its tables up to date. Safe to run several times and from several processes at once: a lock, held by
 * a light-weight transaction, puts them in turn. Returns the names applied.
 */
export async function migrateCassandra(options: MigrateOptions): Promise<string[]> {
  const client = await connectCassandra({ ...options, keyspace: '', timeoutMs: Math.max(options.timeoutMs, DDL_TIMEOUT_MS) });
  try {
    const { keyspace } = options;
    await ddl(client, `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = ${mapLiteral(options.replication)}`);
    await ddl(client, `USE ${keyspace}`);
    // The same id for everyone: two that create a table at the same time would otherwise make two tables, of which one is lost.
    for (const [table, columns] of Object.entries(TABLES))
      await ddl(client, `CREATE TABLE IF NOT EXISTS ${keyspace}.${table} ${columns} WITH id = ${v5(`${keyspace}.${table}`, TABLE_IDS)}`);
    return await locked(client, keyspace, () => applyMissing(client, keyspace));
  } finally {
    await client.shutdown();
  }
}

const TABLE_IDS = '0f3b1f0e-53a5-4b76-9f0e-0d3a5a6f6a11';

async function applyMissing(client: Client, keyspace: string): Promise<string[]> {
  const { rows } = await client.execute(`SELECT name FROM ${keyspace}.schema_migrations`);
  const known = new Set(rows.map((row) => row.name as string));
  const missing = readdirSync(folder)
    .filter((file) => file.endsWith('.cql') && !known.has(file))
    .sort();
  for (const file of missing) {
    for (const statement of statementsOf(readFileSync(path.join(folder, file), 'utf8'))) await ddl(client, statement);
    await client.execute(`INSERT INTO ${keyspace}.schema_migrations (name, applied_at) VALUES (?, ?)`, [file, new Date()]);
  }
  return missing;
}

/** Statements end with a semicolon at the end of a line; lines that begin with -- are comments. */
function statementsOf(text: string): string[] {
  return text
    .replace(/^\s*--.*$/gm, '')
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter(Boolean);
}

async function locked<T>(client: Client, keyspace: string, work: () => Promise<T>): Promise<T> {
  const owner = v4();
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  const take = `INSERT INTO ${keyspace}.schema_lock (name, owner) VALUES ('schema', ?) IF NOT EXISTS USING TTL ${LOCK_SECONDS}`;
  while (!(await compareAndSet(client, take, [owner]))) {
    if (Date.now() > deadline)
      throw new Error(`Another process has been changing the schema of ${keyspace} for ${LOCK_PATIENCE_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
  try {
    return await work();
  } finally {
    // Only its own: after its time it may be someone else's.
    await compareAndSet(client, `DELETE FROM ${keyspace}.schema_lock WHERE name = 'schema' IF owner = ?`, [owner]);
  }
}

async function compareAndSet(client: Client, query: string, params: unknown[]): Promise<boolean> {
  return (await client.execute(query, params, { isIdempotent: false })).wasApplied();
}

const ddl = (client: Client, statement: string) => client.execute(statement, [], { prepare: false, isIdempotent: false });

/** Both sides come from the configuration, which holds them to a name and a number. */
const mapLiteral = (map: Readonly<Record<string, string | number>>): string =>
  `{${Object.entries(map)
    .map(([name, value]) => `'${name.replaceAll("'", "''")}': ${typeof value === 'number' ? value : `'${value.replaceAll("'", "''")}'`}`)
    .join(', ')}}`;
