import assert from 'node:assert/strict';
import { PostgresClient } from '../../adapters/postgres/client.js';
import { createPostgresKeyRevocations, LISTENER_NAME } from '../../adapters/postgres/key-revocations.js';
import { createPool, inTransaction, type Connection, type Database } from '../../adapters/postgres/pool.js';
import { isOutage } from '../../platform/outages.js';
import { createLogger } from '../../telemetry/log.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';

/** Mocha makes a failure of an uncaught exception: that none comes is part of every test here. */
describe('a connection that the server ends', () => {
  let pool: Database;
  let axe: PostgresClient;
  // Before the database's own hook, which wants all connections closed.
  after(async () => {
    await pool.end();
    await axe.end();
  });
  const database = withDatabase();

  before(async () => {
    pool = createPool(database().url, 2);
    axe = new PostgresClient({ connectionString: database().url });
    await axe.connect();
  });

  const pidOf = async (connection: Connection) => Number((await connection.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid);
  async function end(pid: number): Promise<void> {
    await axe.query('SELECT pg_terminate_backend($1)', [pid]);
    const gone = async () => (await axe.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).rowCount === 0;
    await eventually('the backend is gone', gone);
  }
  const ended = (connection: Connection) => new Promise<void>((resolve) => connection.once('end', () => resolve()));

  /** Each ends the connection at its moment, and rejects with the error by which its user learns of it */
  const moments: Record<string, (connection: Connection) => Promise<void>> = {
    async 'between two statements of a transaction'(connection) {
      await connection.query('BEGIN');
      const end_ = ended(connection);
      await end(await pidOf(connection));
      await end_;
      await connection.query('SELECT 1');
    },
    async 'before the first statement'(connection) {
      const pid = await pidOf(connection);
      const end_ = ended(connection);
      await end(pid);
      await end_;
      await connection.query('BEGIN');
    },
    async 'during a statement'(connection) {
      const pid = await pidOf(connection);
      const slow = connection.query('SELECT pg_sleep(30)');
      slow.catch(() => undefined);
      await eventually('it runs', async () => {
        const { rowCount } = await axe.query(`SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, [pid]);
        return rowCount === 1;
      });
      await end(pid);
      await slow;
    },
    async 'with COMMIT on its way'(connection) {
      await connection.query('BEGIN');
      const pid = await pidOf(connection);
      const dying = axe.query('SELECT pg_terminate_backend($1)', [pid]);
      await Promise.all([connection.query('COMMIT'), dying]);
      // The commit was faster: then the connection is gone afterwards.
      await connection.query('SELECT 1');
    },
  };

  for (const [moment, work] of Object.entries(moments)) {
    it(`${moment} is an outage for who uses it, and the pool goes on`, async () => {
      const connection = await pool.connect();
      let fault: unknown;
      try {
        await work(connection);
      } catch (error) {
        fault = error;
      } finally {
        connection.release(fault instanceof Error ? fault : undefined);
      }
      assert.ok(isOutage(fault), `not an outage: ${String(fault)}`);
      assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
    });
  }

  it('while it is idle, or just given back, costs the next statement nothing or says that it is an outage', async () => {
    for (let round = 0; round < 20; round++) {
      const connection = await pool.connect();
      const pid = await pidOf(connection).catch((error: unknown) => (assert.ok(isOutage(error), String(error)), 0));
      const dying = axe.query('SELECT pg_terminate_backend($1)', [pid]);
      connection.release();
      await pool.query('SELECT 1').catch((error: unknown) => assert.ok(isOutage(error), String(error)));
      await dying;
    }
    await eventually('the pool answers', () => pool.query('SELECT 1').then(() => true, isOutage));
  });

  it('rolls a transaction back, hands its error on, and leaves no connection out', async () => {
    const work = inTransaction(pool, async (connection) => {
      const gone = ended(connection);
      await end(await pidOf(connection));
      await gone;
      return connection.query('SELECT 1');
    });
    await assert.rejects(work, isOutage);
    assert.equal(pool.totalCount, pool.idleCount);
  });

  it('that listens for revocations is made anew', async () => {
    const news = await createPostgresKeyRevocations(database().url, createLogger('silent'));
    try {
      const listener = async () => {
        const { rows } = await axe.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE application_name = $1', [LISTENER_NAME]);
        return rows[0]?.pid;
      };
      const first = await listener();
      assert.ok(first);
      await end(first);
      await eventually('it listens again', async () => news.live && ![undefined, first].includes(await listener()));
    } finally {
      await news.close();
    }
  });

  it('alone, of a client of its own, is heard of by its next statement', async () => {
    const client = new PostgresClient({ connectionString: database().url });
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await end(rows[0]?.pid ?? 0);
    await assert.rejects(client.query('SELECT 1'), isOutage);
    await client.end();
  });

  it('under load, many times over, fails calls at worst as an outage', async () => {
    const faults: unknown[] = [];
    let done = false;
    let answered = 0;
    const caller = async () => {
      while (!done) {
        const one = inTransaction(pool, async (connection) => {
          await connection.query('SELECT 1');
          await connection.query('SELECT pg_sleep(0.002)');
        });
        await one.then(
          () => void answered++,
          (error: unknown) => void (isOutage(error) || faults.push(error)),
        );
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    for (let round = 0; round < 60; round++) {
      await axe.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY random() LIMIT 1`,
      );
      await axe.query('SELECT pg_sleep(0.02)');
    }
    done = true;
    await Promise.all(callers);
    assert.deepEqual(faults, []);
    assert.ok(answered > 0);
  });
});
