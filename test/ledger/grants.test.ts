import assert from 'node:assert/strict';
import pg from 'pg';
import { GRANTS, SERVICE_ROLES, grantRoles } from '../../adapters/postgres/grants.js';
import { administer, startTestPostgres, withDatabase } from '../support/postgres.js';

describe('the roles of the services in the database', () => {
  const database = withDatabase();
  const password = 'correct-horse-battery';

  before('roles', async () => {
    for (const role of SERVICE_ROLES) {
      await database().pool.query(`DO $$ BEGIN CREATE ROLE ${role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`);
      await database().pool.query(`ALTER ROLE ${role} PASSWORD '${password}'`);
    }
    assert.deepEqual(await grantRoles(database().url), [...SERVICE_ROLES].sort());
    assert.deepEqual(await grantRoles(database().url), [...SERVICE_ROLES].sort(), 'again changes nothing');
  });

  // Its database has gone before; roles are the whole server's, which other tests use.
  after('no roles', async () => administer(await startTestPostgres(), ...SERVICE_ROLES.map((role) => `DROP ROLE ${role}`)));

  async function as<T extends pg.QueryResultRow>(role: string, statement: string): Promise<T[]> {
    const url = new URL(database().url);
    url.username = role;
    url.password = password;
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    try {
      return (await client.query<T>(statement)).rows;
    } finally {
      await client.end();
    }
  }

  it('leave no table out', async () => {
    const { rows } = await database().pool.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition ORDER BY 1`,
    );
    assert.deepEqual(
      rows.map(({ name }) => name),
      Object.keys(GRANTS).sort(),
    );
  });

  it('make none of them a superuser or an owner, and let none create anything', async () => {
    for (const role of SERVICE_ROLES) {
      const [is] = await as<{ rolsuper: boolean; rolcreatedb: boolean; rolcreaterole: boolean; rolbypassrls: boolean }>(
        role,
        'SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user',
      );
      assert.deepEqual(is, { rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolbypassrls: false });
      await assert.rejects(as(role, 'CREATE TABLE mine (x int)'), { code: '42501' });
    }
  });

  it('keep the hashes of passwords and keys, and the signing keys, with the auth service', async () => {
    for (const role of SERVICE_ROLES.filter((each) => each !== 'leaky_auth')) {
      for (const secret of [
        'SELECT password_hash FROM users',
        'SELECT * FROM users',
        'SELECT * FROM api_keys',
        'SELECT * FROM signing_keys',
      ])
        await assert.rejects(as(role, secret), { code: '42501' }, `${role}: ${secret}`);
      for (const forge of ["UPDATE users SET username = 'x'", "INSERT INTO user_roles SELECT id, 'ADMIN' FROM users", 'DELETE FROM orgs'])
        await assert.rejects(as(role, forge), { code: '42501' }, `${role}: ${forge}`);
    }
    assert.deepEqual(await as('leaky_auth', 'SELECT password_hash FROM users'), []);
  });

  it('let nobody but the token service and the worker touch the ledger', async () => {
    for (const role of ['leaky_gateway', 'leaky_auth', 'leaky_analytics'])
      await assert.rejects(as(role, 'UPDATE pools SET purchased_remaining = purchased_remaining + 1'), { code: '42501' }, role);
    for (const role of SERVICE_ROLES) {
      await assert.rejects(as(role, 'DELETE FROM ledger_entries'), { code: '42501' }, role);
      await assert.rejects(as(role, 'UPDATE ledger_entries SET purchased_tokens = 0'), { code: '42501' }, role);
    }
  });
});
