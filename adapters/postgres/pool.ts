import pg from 'pg';
import { PostgresClient } from './client.js';
import { tracePool } from './traced-pool.js';

export type Database = pg.Pool;
export type Connection = pg.PoolClient;

// Token counts and ids are int8 in PostgreSQL and stay far below 2^53 here; a number is what the API shows.
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 value ${text} is beyond the safe integers`);
  return value;
});

export interface PoolLimits {
  /** Below the time that an activity has for one statement: it then learns that it failed, instead of leaving it running */
  statementTimeoutMs?: number;
  /** Also the wait for a free connection of the pool */
  connectTimeoutMs?: number;
}

/** The server cuts statements off; the client needs a limit too, for a server or a network that says nothing any more. */
const CLIENT_MARGIN_MS = 1_000;

export function createPool(url: string, size: number, { statementTimeoutMs = 8_000, connectTimeoutMs = 5_000 }: PoolLimits = {}): Database {
  const pool = new pg.Pool({
    Client: PostgresClient,
    connectionString: url,
    max: size,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + CLIENT_MARGIN_MS,
    // A process that stops in the middle of a transaction must not keep its locks.
    idle_in_transaction_session_timeout: statementTimeoutMs + CLIENT_MARGIN_MS,
  });
  // An idle connection that breaks (server restart) is dropped by the pool, which says so as an error of its own.
  pool.on('error', () => undefined);
  return tracePool(pool);
}

const PATIENCE_MS = 3_600_000;

/** A statement that may take up to an hour; in `inLongTransaction`, which lifts the server's limit as well. */
export const patient = (text: string, values: unknown[] = []) => ({ text, values, query_timeout: PATIENCE_MS });

/** For audits and maintenance, which read or move more than a request may wait for: statements made by `patient` have no limit. */
export function inLongTransaction<T>(pool: Database, work: (connection: Connection) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (connection) => {
    await connection.query('SET LOCAL statement_timeout = 0');
    return work(connection);
  });
}

/** Runs `work` in one transaction; rolls back when it throws. */
export async function inTransaction<T>(pool: Database, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await pool.connect();
  let broken: Error | undefined;
  try {
    await connection.query('BEGIN');
    const result = await work(connection);
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    await connection.query('ROLLBACK').catch((rollbackError: Error) => (broken = rollbackError));
    throw error;
  } finally {
    connection.release(broken);
  }
}
