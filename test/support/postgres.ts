import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrate } from '../../adapters/postgres/migrate.js';
import { createPool, type Database } from '../../adapters/postgres/pool.js';
import { startPostgres } from '../../embedded/postgres.js';
import { freePort } from '../../embedded/ports.js';
import { atEnd, temporaryFolder } from './servers.js';

export interface TestDatabase {
  /** A pool of 10 on the database; ends with it */
  pool: Database;
  url: string;
}

const TEMPLATE = 'leaky_template';
const HOOK_TIMEOUT_MS = 90_000;

let server: Promise<string> | undefined;

/**
 * One real server per mocha run, started by whoever asks first. Uses LEAKY_TEST_POSTGRES_URL when set (a superuser's URL),
 * else the embedded PostgreSQL without fsync in a folder of its own. Resolves with the URL of its maintenance database.
 */
export function startTestPostgres(): Promise<string> {
  server ??= process.env.LEAKY_TEST_POSTGRES_URL ? prepared(process.env.LEAKY_TEST_POSTGRES_URL) : embedded().then(prepared);
  return server;
}

async function embedded(): Promise<string> {
  const password = randomBytes(16).toString('hex');
  const { url, child } = await startPostgres({ dataDir: temporaryFolder('postgres'), port: await freePort(), password, fsync: false });
  atEnd(() => child.stop());
  return url;
}

/** Migrates the template once; each test file clones it, which takes milliseconds. */
async function prepared(url: string): Promise<string> {
  await administer(url, `DROP DATABASE IF EXISTS ${TEMPLATE}`, `CREATE DATABASE ${TEMPLATE}`);
  await migrate(databaseUrl(url, TEMPLATE));
  return url;
}

/**
 * A migrated database for the enclosing `describe` (or the file), dropped after it. Call it where `before` may be called:
 *
 *     const database = withDatabase();
 *     it('…', async () => { await database().pool.query('SELECT 1'); });
 *
 * The tests fail when they leave a connection out of the pool or a connection of their own open.
 */
export function withDatabase(): () => TestDatabase {
  const name = `test_${randomBytes(6).toString('hex')}`;
  let server = '';
  let database: TestDatabase | undefined;
  before('a fresh database', async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    server = await startTestPostgres();
    await administer(server, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
    const url = databaseUrl(server, name);
    database = { pool: createPool(url, 10), url };
  });
  after('no connection leaks', async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    if (!database) return;
    const { pool } = database;
    const leaked = pool.totalCount - pool.idleCount;
    // A leaked connection would keep `end` waiting for ever: it is cut off by the forced drop.
    const ended = pool.end();
    if (leaked === 0) await ended;
    const strangers = leaked === 0 ? await openConnections(server, name) : [];
    await administer(server, `DROP DATABASE ${name} WITH (FORCE)`);
    assert.equal(leaked, 0, `${leaked} connection(s) were taken from the pool and not released`);
    assert.deepEqual(strangers, [], 'connections outside the pool were left open; their last statements are shown');
  });
  return () => {
    assert.ok(database, 'the database exists only while tests run');
    return database;
  };
}

/** For what an earlier run may have left on a server that outlives it. */
export const dropDatabases = (server: string, ...names: string[]): Promise<void> =>
  administer(server, ...names.map((name) => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Statements that are nobody's business but the superuser's. */
export async function administer(server: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

const CLOSING_MS = 2_000;

/** The server notices a closed connection a moment later than the client: asks until none is left or the time is up. */
async function openConnections(server: string, name: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    const deadline = Date.now() + CLOSING_MS;
    for (;;) {
      const { rows } = await client.query<{ query: string }>('SELECT query FROM pg_stat_activity WHERE datname = $1', [name]);
      if (rows.length === 0 || Date.now() > deadline) return rows.map((row) => row.query.slice(0, 200));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    await client.end();
  }
}
