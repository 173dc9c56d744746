import pg from 'pg';
import { recogniseOutages } from '../../platform/outages.js';

/**
 * Every connection to PostgreSQL is one of these (lint holds it). A connection that ends while no statement runs on it emits `error`:
 * between two statements of a transaction nobody listens, and an `error` that nobody hears ends the process. Whoever uses the
 * connection next learns of the end by its own statement, which fails.
 */
export class PostgresClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

/** Of PostgreSQL: connection, resource, operator intervention (its shutdown, a statement's time limit), a system error (its disk). */
const CODES = /^(?:08...|53...|57...|58...)$/;
/** The driver gives these no code. */
const MESSAGES =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed and is not queryable|Cannot use a pool after calling end|Not queryable)/;

recogniseOutages('postgres', (error) => {
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && CODES.test(code)) || MESSAGES.test(error.message);
});
