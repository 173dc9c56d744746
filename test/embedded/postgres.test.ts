import assert from 'node:assert/strict';
import { withDatabase } from '../support/postgres.js';

describe('the embedded PostgreSQL', () => {
  const database = withDatabase();

  it('compares text by Unicode rules on every machine', async () => {
    const { rows } = await database().pool.query<{ folded: string }>("SELECT lower('ÄÖÜ') AS folded");
    assert.deepEqual(rows, [{ folded: 'äöü' }]);
  });

  it('takes no connection without the password', async () => {
    const { default: pg } = await import('pg');
    const url = new URL(database().url);
    url.password = 'wrong';
    await assert.rejects(new pg.Client({ connectionString: url.href }).connect(), /password authentication failed/);
  });
});
