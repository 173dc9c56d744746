import assert from 'node:assert/strict';
import { createMemoryKeyRevocations } from '../../adapters/memory/key-revocations.js';
import { createPostgresKeyRevocations } from '../../adapters/postgres/key-revocations.js';
import { createPostgresStanding } from '../../adapters/postgres/standings.js';
import type { Standing } from '../../api/identity/standings.js';
import { layCable } from '../support/cable.js';
import { startEcho } from './echo-service.js';
import { ADMIN, PASSWORD, assertProblem, call, log, withAuth, within } from './support.js';

const USERS = '/api/v1/auth/users';
const LOGIN = '/api/v1/auth/login';
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';

interface Person {
  userId: string;
  username: string;
  token: string;
}

const without = (standing: Standing | null) => standing && { ...standing, validAfter: 0 };

describe('accounts, for an ADMIN', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const ask = async (method: string, path: string, token: string) => auth().call(method, `${USERS}/${path}`, { token });
  const login = async (username: string) =>
    (await auth().call('POST', LOGIN, { body: { username, password: PASSWORD } })).body as Person & { roles: string[] };
  const admin = async (): Promise<Person> => (await auth().call('POST', LOGIN, { body: ADMIN })).body as Person;

  it('everybody reads its own, an ADMIN every account, with the roles of now', async () => {
    const [person, other, root] = [await auth().register(), await auth().register(), await admin()];
    const { status, body } = await ask('GET', person.userId, person.token);
    assert.equal(status, 200);
    const { createdAt, ...rest } = body;
    assert.ok(Date.parse(createdAt) > 0);
    assert.deepEqual(rest, { userId: person.userId, username: person.username, roles: ['USER'], disabled: false });
    assertProblem(await ask('GET', person.userId, other.token), 403);
    assert.equal((await ask('GET', person.userId, root.token)).status, 200);
    assertProblem(await ask('GET', UNKNOWN_ID, root.token), 404);
    assertProblem(await ask('GET', 'x', root.token), 400);
  });

  it('only an ADMIN who is logged in changes any', async () => {
    const [person, root] = [await auth().register(), await admin()];
    const { rawKey } = await auth().createKey(root);
    for (const [method, path] of [
      ['DELETE', person.userId],
      ['POST', `${person.userId}/disable`],
      ['POST', `${person.userId}/enable`],
      ['PUT', `${person.userId}/roles/ADMIN`],
      ['DELETE', `${person.userId}/roles/ADMIN`],
    ] as const) {
      assertProblem(await ask(method, path, person.token), 403);
      assertProblem(await auth().call(method, `${USERS}/${path}`, { key: rawKey }), 403);
      assertProblem(await auth().call(method, `${USERS}/${path}`), 401);
      assertProblem(await ask(method, path.replace(person.userId, UNKNOWN_ID), root.token), 404);
    }
    assertProblem(await ask('PUT', `${person.userId}/roles/EMPEROR`, root.token), 400);
    assertProblem(await ask('DELETE', `${person.userId}/roles/ADMIN`, root.token), 404);
  });

  it('a new login in the very second in which the old tokens ended works', async () => {
    const [person, root] = [await auth().register(), await admin()];
    for (let round = 0; round < 5; round += 1) {
      assert.equal((await ask('PUT', `${person.userId}/roles/ADMIN`, root.token)).status, 204);
      const before = await login(person.username);
      assert.equal((await ask('GET', root.userId, before.token)).status, 200);
      assert.equal((await ask('DELETE', `${person.userId}/roles/ADMIN`, root.token)).status, 204);
      const after = await login(person.username);
      assertProblem(await ask('GET', person.userId, before.token), 401);
      assert.equal((await ask('GET', person.userId, after.token)).status, 200);
      assertProblem(await ask('GET', root.userId, after.token), 403);
    }
  });

  it('a token made from an API key before its user lost something ends, and the key brings a new one', async () => {
    const [person, root] = [await auth().register(), await admin()];
    const { rawKey } = await auth().createKey(person);
    const exchange = async () => (await auth().call('POST', '/api/v1/auth/api-keys/exchange', { key: rawKey })).body.token as string;
    const before = await exchange();
    assert.equal((await ask('PUT', `${person.userId}/roles/ADMIN`, root.token)).status, 204);
    assert.equal((await ask('DELETE', `${person.userId}/roles/ADMIN`, root.token)).status, 204);
    assertProblem(await ask('GET', person.userId, before), 401);
    assert.equal((await ask('GET', person.userId, await exchange())).status, 200);
    assert.equal((await auth().call('GET', `${USERS}/${person.userId}`, { key: rawKey })).status, 200);
  });

  it('the only OWNER of an organisation is not deleted; its founder is, once there is another', async () => {
    const [founder, heir, root] = [await auth().register(), await auth().register(), await admin()];
    const { orgId } = (await auth().call('POST', '/api/v1/auth/orgs', { token: founder.token, body: { name: 'Engines' } })).body;
    assertProblem(await ask('DELETE', founder.userId, root.token), 409);
    const members = `/api/v1/auth/orgs/${orgId}/members`;
    await auth().call('POST', members, { token: root.token, body: { userId: heir.userId, role: 'OWNER' } });
    assert.equal((await ask('DELETE', founder.userId, root.token)).status, 204);
    const list = await auth().call('GET', members, { token: heir.token });
    assert.deepEqual(
      list.body.map(({ userId }: Person) => userId),
      [heir.userId],
    );
  });

  it('the last ADMIN stays, also when two end each other', async () => {
    const [root, person] = [await admin(), await auth().register()];
    for (const [method, path] of [
      ['DELETE', root.userId],
      ['POST', `${root.userId}/disable`],
      ['DELETE', `${root.userId}/roles/ADMIN`],
    ] as const) {
      assertProblem(await ask(method, path, root.token), 409);
    }
    assert.equal((await ask('PUT', `${person.userId}/roles/ADMIN`, root.token)).status, 204);
    const second = await login(person.username);
    await Promise.all([ask('DELETE', `${second.userId}/roles/ADMIN`, root.token), ask('POST', `${root.userId}/disable`, second.token)]);
    const { rowCount } = await auth().pool.query(
      `SELECT 1 FROM user_roles r JOIN users u ON u.id = r.user_id WHERE r.role = 'ADMIN' AND u.disabled_at IS NULL`,
    );
    assert.equal(rowCount, 1);
    await auth().pool.query(`UPDATE users SET disabled_at = NULL WHERE id = $1`, [root.userId]);
    await auth().pool.query(`INSERT INTO user_roles (user_id, role) VALUES ($1, 'ADMIN') ON CONFLICT DO NOTHING`, [root.userId]);
  });

  it('ADMIN is asked for afresh: a token that says it is no ADMIN’s after a second, even where no news of the role ever come', async () => {
    const [person, root] = [await auth().register(), await admin()];
    assert.equal((await ask('PUT', `${person.userId}/roles/ADMIN`, root.token)).status, 204);
    const { token } = await login(person.username);
    const { pool, config } = auth();
    // As far as the column goes the token is good: only the role is gone.
    const revocations = createMemoryKeyRevocations();
    const standing = createPostgresStanding(() => pool);
    const asking = await startEcho({ config, revocations }, { standing: async (claim) => without(await standing(claim)) });
    const nobodyToAsk = await startEcho({ config, revocations });
    const roles = async (url: string) => (await call(url, 'GET', '/whoami', { token })).body.roles as string[];
    try {
      assert.deepEqual(await roles(asking.url), ['ADMIN', 'USER']);
      assert.deepEqual(await roles(nobodyToAsk.url), ['USER']);
      await pool.query(`DELETE FROM user_roles WHERE user_id = $1 AND role = 'ADMIN'`, [person.userId]);
      await within(1_000, async () => !(await roles(asking.url)).includes('ADMIN'));
    } finally {
      await asking.close();
      await nobodyToAsk.close();
    }
  });

  it('a service that hears no news asks the store: a disabled account’s token is refused there within a second', async () => {
    const person = await auth().register();
    const { rawKey } = await auth().createKey(person);
    const url = new URL(auth().databaseUrl);
    const cable = await layCable(Number(url.port));
    url.port = String(cable.port);
    const revocations = await createPostgresKeyRevocations(url.href, log);
    const { pool } = auth();
    const echo = await startEcho({ config: auth().config, revocations }, { standing: createPostgresStanding(() => pool) });
    const status = async (options: { token?: string; key?: string }) => (await call(echo.url, 'GET', '/whoami', options)).status;
    try {
      const { token: internal } = (await auth().call('POST', '/api/v1/auth/api-keys/exchange', { key: rawKey })).body;
      for (const options of [{ token: person.token }, { key: rawKey }, { token: internal }]) assert.equal(await status(options), 200);
      cable.cut();
      await pool.query('UPDATE users SET disabled_at = now() WHERE id = $1', [person.userId]);
      await within(1_000, async () => (await status({ token: person.token })) === 401);
      for (const options of [{ token: person.token }, { key: rawKey }, { token: internal }]) {
        await within(1_000, async () => (await status(options)) === 401);
      }
      cable.mend();
      await within(10_000, async () => revocations.live);
      for (const options of [{ token: person.token }, { key: rawKey }, { token: internal }]) assert.equal(await status(options), 401);
    } finally {
      await echo.close();
      await revocations.close();
      await cable.close();
    }
  });
});
