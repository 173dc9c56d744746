import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { withDatabase } from '../support/postgres.js';

describe('the embedded PostgreSQL', () => {
  const database = withDatabase();

  it('compares text by Unicode rules on every machine', async () => {
    const { rows } = await database().pool.query<{ folded: string }>("SELECT lower('ÄÖÜ') AS folded");
    assert.deepEqual(rows, [{ folded: 'äöü' }]);
  });

  it('writes no value into its log, whatever a statement stumbles over', async () => {
    const { pool } = database();
    const name = `canary-${randomUUID()}`;
    const id = randomUUID();
    await pool.query('INSERT INTO users (id, username, username_key, email, password_hash) VALUES ($1, $2, $2, $3, $2)', [
      id,
      name,
      `${name}@a.b`,
    ]);
    const again = { text: 'INSERT INTO users (id, username, username_key, email, password_hash) VALUES ($1, $2, $2, $3, $2)' };
    await assert.rejects(pool.query(again.text, [randomUUID(), name, `${name}@c.d`]), { code: '23505' });
    await assert.rejects(pool.query('SELECT $1::uuid', [name]), { code: '22P02' });
    await assert.rejects(pool.query(`SELECT '${name}'::int`), { code: '22P02' });
    await assert.rejects(pool.query(`SELECT 1 FROM "${name}"`), { code: '42P01' });
    await assert.rejects(pool.query(`DO $$ BEGIN RAISE EXCEPTION '${name}'; END $$`), { code: 'P0001' });
    const { rows } = await pool.query<{ name: string; setting: string }>(
      "SELECT name, setting FROM pg_settings WHERE name IN ('log_min_messages', 'log_error_verbosity', 'log_statement') ORDER BY name",
    );
    assert.deepEqual(
      rows.map(({ setting }) => setting),
      ['terse', 'log', 'none'],
    );
    const { rows: folders } = await pool.query<{ data_directory: string }>('SHOW data_directory');
    const log = readFileSync(path.join(path.dirname(folders[0]?.data_directory ?? ''), 'logs/postgres.log'), 'utf8');
    assert.match(log, /ready to accept connections/);
    assert.doesNotMatch(log, /canary/);
  });

  it('takes no connection without the password', async () => {
    const { default: pg } = await import('pg');
    const url = new URL(database().url);
    url.password = 'wrong';
    await assert.rejects(new pg.Client({ connectionString: url.href }).connect(), /password authentication failed/);
  });
});
