import assert from 'node:assert/strict';
import { decodeProtectedHeader } from 'jose';
import { createMemoryKeyRevocations } from '../../adapters/memory/key-revocations.js';
import { createMemoryLoginPoints } from '../../adapters/memory/login-points.js';
import { createAccounts } from '../../adapters/postgres/accounts.js';
import { createKeyring } from '../../api/auth/keyring.js';
import { startAuth } from '../../api/auth/start.js';
import { SYSTEM } from '../../domain/accounts/actor.js';
import { withDatabase } from '../support/postgres.js';
import { withEcho } from './echo-service.js';
import { assertProblem, call, configOf, log, withAuth } from './support.js';

const ROTATE = '/api/v1/auth/signing-keys/rotate';
const kidOf = (token: string) => decodeProtectedHeader(token).kid;
const MASTER = 'a1'.repeat(32);
const loginPoints = createMemoryLoginPoints(configOf().auth);

describe('signing key rotation by an ADMIN', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const echo = withEcho(auth);
  const kids = async () => (await auth().call('GET', '/oauth2/jwks')).body.keys.map((key: { kid: string }) => key.kid);

  it('is for an ADMIN who is logged in', async () => {
    const user = await auth().register();
    assertProblem(await auth().call('POST', ROTATE), 401);
    assertProblem(await auth().call('POST', ROTATE, { token: user.token }), 403);
  });

  it('new tokens have the new key at once, old ones stay valid, services follow within the cool-down', async () => {
    const token = await auth().adminToken();
    assert.equal((await call(echo().url, 'GET', '/whoami', { token })).status, 200);
    for (let round = 0; round < 2; round++) {
      const { status, body } = await auth().call('POST', ROTATE, { token });
      assert.equal(status, 200);
      const fresh = await auth().register();
      assert.equal(kidOf(fresh.token), body.kid);
      assert.notEqual(body.kid, kidOf(token));
      assert.deepEqual([...(await kids())].sort(), [...new Set([...(await kids()), body.kid, kidOf(token)])].sort());
      assert.equal((await call(echo().url, 'GET', '/whoami', { token: fresh.token })).status, 200, `round ${round}`);
      assert.equal((await auth().call('GET', '/api/v1/auth/orgs', { token: fresh.token })).status, 200);
      assert.equal((await auth().call('GET', '/api/v1/auth/orgs', { token })).status, 200);
    }
  });

  it('the private part of a retired key is gone', async () => {
    const { rows } = await auth().pool.query('SELECT private_jwk FROM signing_keys WHERE retired_at IS NOT NULL');
    assert.ok(rows.length > 0);
    assert.ok(rows.every((row) => row.private_jwk === null));
  });
});

describe('signing keys at rest', function () {
  this.timeout(30_000);
  const database = withDatabase();
  const keyring = (environment: Record<string, string> = {}) =>
    createKeyring(createAccounts(database().pool).signingKeys, configOf(environment).auth, log);
  const rows = async () =>
    (await database().pool.query('SELECT kid, private_jwk, retired_at FROM signing_keys ORDER BY created_at')).rows as {
      kid: string;
      private_jwk: string | null;
      retired_at: Date | null;
    }[];
  const publicKids = async (ring: ReturnType<typeof keyring>) => (await ring.publicJwks(0)).map((key) => key.kid);

  beforeEach(async () => {
    await database().pool.query('DELETE FROM signing_keys');
  });

  it('survive a restart', async () => {
    await keyring().rotateIfDue();
    const { kid } = await keyring().active();
    await keyring().rotateIfDue();
    assert.equal((await keyring().active()).kid, kid);
  });

  it('processes that start at once agree on one key', async () => {
    const rings = Array.from({ length: 6 }, () => keyring());
    await Promise.all(rings.map((ring) => ring.rotateIfDue()));
    const kids = await Promise.all(rings.map(async (ring) => (await ring.active()).kid));
    assert.equal(new Set(kids).size, 1);
    assert.equal((await rows()).length, 1);
  });

  it('rotate when they are older than configured, and not before', async () => {
    const ring = keyring({ LEAKY_SIGNING_KEY_ROTATION_DAYS: '30' });
    await ring.rotateIfDue();
    const { kid } = await ring.active();
    await database().pool.query(`UPDATE signing_keys SET created_at = now() - interval '29 days'`);
    await ring.rotateIfDue();
    assert.equal((await ring.active()).kid, kid);
    await database().pool.query(`UPDATE signing_keys SET created_at = now() - interval '31 days'`);
    await ring.rotateIfDue();
    assert.notEqual((await ring.active()).kid, kid);
    assert.ok((await publicKids(ring)).includes(kid));
  });

  it('stay public until the last token has expired, and are forgotten afterwards', async () => {
    const ring = keyring({ LEAKY_JWT_TTL_SECONDS: '3600' });
    await ring.rotateIfDue();
    const { kid } = await ring.active();
    await ring.rotate(SYSTEM);
    await database().pool.query(`UPDATE signing_keys SET retired_at = now() - interval '61 minutes' WHERE kid = $1`, [kid]);
    assert.ok((await publicKids(ring)).includes(kid));
    await database().pool.query(`UPDATE signing_keys SET retired_at = now() - interval '66 minutes' WHERE kid = $1`, [kid]);
    assert.ok(!(await publicKids(ring)).includes(kid));
    await ring.rotateIfDue();
    assert.equal((await rows()).length, 1);
  });

  it('are encrypted under the master key, and open with no other', async () => {
    await keyring({ LEAKY_MASTER_KEY: MASTER }).rotateIfDue();
    const [row] = await rows();
    assert.equal(row?.private_jwk?.split('.').length, 5);
    assert.equal((await keyring({ LEAKY_MASTER_KEY: MASTER }).active()).kid, row?.kid);
    await assert.rejects(keyring({ LEAKY_MASTER_KEY: 'b2'.repeat(32) }).active(), /LEAKY_MASTER_KEY is not the key/);
    await assert.rejects(keyring().active(), /set LEAKY_MASTER_KEY/);
  });

  it('stored without a master key are encrypted once there is one', async () => {
    await keyring().rotateIfDue();
    assert.match((await rows())[0]?.private_jwk ?? '', /^\{/);
    const { kid } = await keyring({ LEAKY_MASTER_KEY: MASTER }).active();
    const [row] = await rows();
    assert.equal(row?.kid, kid);
    assert.equal(row?.private_jwk?.split('.').length, 5);
  });
});

describe('two auth processes on one database', function () {
  this.timeout(30_000);
  const database = withDatabase();

  it('accept each other’s tokens, also right after one of them rotates', async () => {
    const start = () =>
      startAuth({
        config: configOf(),
        log,
        accounts: createAccounts(database().pool),
        revocations: createMemoryKeyRevocations(),
        loginPoints,
      });
    const servers = await Promise.all([start(), start()]);
    const [a, b] = servers.map(({ port }) => `http://127.0.0.1:${port}`) as [string, string];
    try {
      const body = { username: configOf().auth.adminUsername, password: configOf().auth.adminPassword };
      const token = async (url: string) => (await call(url, 'POST', '/api/v1/auth/login', { body })).body.token;
      assert.equal((await call(b, 'GET', '/api/v1/auth/orgs', { token: await token(a) })).status, 200);
      assert.equal((await call(a, 'POST', ROTATE, { token: await token(b) })).status, 200);
      assert.equal((await call(b, 'GET', '/api/v1/auth/orgs', { token: await token(a) })).status, 200);
      assert.equal((await call(a, 'GET', '/api/v1/auth/orgs', { token: await token(b) })).status, 200);
    } finally {
      await Promise.all(servers.map((server) => server.close(500)));
    }
  });

  it('the first ADMIN keeps its password, and a squatter of the name does not become ADMIN', async () => {
    const accounts = createAccounts(database().pool);
    const run = async (environment: Record<string, string>, work: (url: string) => Promise<void>) => {
      const server = await startAuth({
        config: configOf(environment),
        log,
        accounts,
        revocations: createMemoryKeyRevocations(),
        loginPoints,
      });
      await work(`http://127.0.0.1:${server.port}`).finally(() => server.close(500));
    };
    const login = async (url: string, username: string, password: string) =>
      call(url, 'POST', '/api/v1/auth/login', { body: { username, password } });
    const squatter = { username: 'boss', email: 'boss@example.com', password: 'the squatter’s own' };
    await run({ LEAKY_ADMIN_PASSWORD: 'another password' }, async (url) => {
      const admin = configOf().auth;
      assert.equal((await login(url, admin.adminUsername as string, admin.adminPassword as string)).status, 200);
      assertProblem(await login(url, admin.adminUsername as string, 'another password'), 401);
      assert.equal((await call(url, 'POST', '/api/v1/auth/register', { body: squatter })).status, 201);
    });
    await run({ LEAKY_ADMIN_USERNAME: 'Boss', LEAKY_ADMIN_PASSWORD: 'the operator’s' }, async (url) => {
      assert.deepEqual((await login(url, 'boss', squatter.password)).body.roles, ['USER']);
    });
    await run({ LEAKY_ADMIN_USERNAME: 'Boss', LEAKY_ADMIN_PASSWORD: squatter.password }, async (url) => {
      assert.deepEqual((await login(url, 'boss', squatter.password)).body.roles, ['ADMIN', 'USER']);
    });
  });
});
