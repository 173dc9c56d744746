import assert from 'node:assert/strict';
import type pg from 'pg';
import { PostgresClient } from '../../adapters/postgres/client.js';
import { eventually } from '../support/eventually.js';
import { withSystem } from '../support/system.js';
import { WAYS, type Way } from '../e2e/contract.js';
import { call, type CallOptions } from '../e2e/http.js';
import { PASSWORD, People, type Person } from '../e2e/people.js';

const WITHIN_MS = 1_000;
const USERS = '/api/v1/auth/users';
const NOBODY = '00000000-0000-4000-8000-000000000000';

/** How authority ends: by a route of ours, and by whoever has the database, which no code of ours sees. */
const HOW = ['by its route', 'in the database'] as const;

describe('authority that was taken away works nowhere after a second', () => {
  const system = withSystem();
  const people = new People(system);
  let database: pg.Client;
  let admin: Person;
  before(async () => {
    database = new PostgresClient(system().postgresUrl);
    await database.connect();
    admin = await people.admin();
  });
  after(() => database.end());

  const at = (way: Way, service: 'auth' | 'tokens' | 'analytics') => (way === 'directly' ? system()[service] : system().gateway);
  const asAdmin = async (method: string, path: string) => {
    const answer = await people.call(method, path, { token: admin.token });
    assert.equal(answer.status, 204, answer.text);
  };
  const statusOf = async (way: Way, service: 'auth' | 'tokens' | 'analytics', method: string, path: string, options: CallOptions) =>
    (await call(at(way, service), method, path, options)).status;
  const login = async ({ username }: Person) => people.call('POST', '/api/v1/auth/login', { body: { username, password: PASSWORD } });
  const newAdmin = async (): Promise<Person> => {
    const person = await people.register();
    await asAdmin('PUT', `${USERS}/${person.userId}/roles/ADMIN`);
    const { body } = await login(person);
    assert.deepEqual(body.roles, ['ADMIN', 'USER']);
    return { ...person, ...body } as Person;
  };

  /** Calls that this person may make as itself, one to each service, both ways. */
  const own = ({ userId }: Person): [Way, 'auth' | 'tokens' | 'analytics', string, string][] =>
    WAYS.flatMap((way): [Way, 'auth' | 'tokens' | 'analytics', string, string][] => [
      [way, 'auth', 'GET', `/api/v1/auth/api-keys?userId=${userId}`],
      [way, 'tokens', 'GET', `/api/v1/tokens/purchases?userId=${userId}`],
      [way, 'analytics', 'GET', '/api/v1/analytics/usage?provider=openai'],
    ]);
  const answers = async (person: Person, options: CallOptions) =>
    Promise.all(own(person).map(([way, service, method, path]) => statusOf(way, service, method, path, options)));
  /** All of these credentials of the person, at every service and both ways, within a second. */
  const allRefused = (person: Person, ...credentials: CallOptions[]) =>
    eventually(
      'everything is refused',
      async () => (await Promise.all(credentials.map((options) => answers(person, options)))).flat().every((status) => status === 401),
      WITHIN_MS,
    );

  for (const how of HOW) {
    const byRoute = how === 'by its route';

    it(`the ADMIN role, ${how}: the token ends; what a new one brings is a USER’s; the key works on`, async () => {
      const person = await newAdmin();
      const { rawKey } = await people.key(person);
      const tier = `/api/v1/tokens/tiers/users/${person.userId}`;
      const change = (way: Way, token: string) =>
        call(at(way, 'tokens'), 'PUT', tier, { token, body: { tier: 'STANDARD' } }).then(({ status }) => status);
      for (const way of WAYS) assert.equal(await change(way, person.token), 200);
      for (const way of WAYS) assert.equal(await statusOf(way, 'auth', 'GET', `${USERS}/${NOBODY}`, { token: person.token }), 404);
      assert.ok((await answers(person, { key: rawKey })).every((status) => status === 200));

      if (byRoute) await asAdmin('DELETE', `${USERS}/${person.userId}/roles/ADMIN`);
      else await database.query(`DELETE FROM user_roles WHERE user_id = $1 AND role = 'ADMIN'`, [person.userId]);
      await allRefused(person, { token: person.token });
      for (const way of WAYS) assert.equal(await change(way, person.token), 401);
      assert.equal(await statusOf('directly', 'auth', 'POST', '/api/v1/auth/signing-keys/rotate', { token: person.token }), 401);

      const again = (await login(person)).body as Person & { roles: string[] };
      assert.deepEqual(again.roles, ['USER']);
      assert.ok((await answers(person, { token: again.token })).every((status) => status === 200));
      assert.ok((await answers(person, { key: rawKey })).every((status) => status === 200));
      for (const way of WAYS) assert.equal(await change(way, again.token), 403);
    });

    it(`a disabled account, ${how}: token, key and login are refused; enabled again, the old token is not`, async () => {
      const person = await people.register();
      const { rawKey } = await people.key(person);
      const exchanged = (await people.call('POST', '/api/v1/auth/api-keys/exchange', { key: rawKey })).body.token as string;
      assert.ok((await answers(person, { key: rawKey })).every((status) => status === 200));
      if (byRoute) await asAdmin('POST', `${USERS}/${person.userId}/disable`);
      else await database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [person.userId]);
      await allRefused(person, { token: person.token }, { key: rawKey }, { token: exchanged });
      assert.equal((await login(person)).status, 401);
      assert.equal((await people.call('GET', '/api/v1/auth/api-keys/validate', { key: rawKey })).status, 401);

      if (byRoute) await asAdmin('POST', `${USERS}/${person.userId}/enable`);
      else await database.query('UPDATE users SET disabled_at = NULL WHERE id = $1', [person.userId]);
      const { body } = await login(person);
      await eventually('it works again', async () => (await answers(person, { token: body.token })).every((status) => status === 200));
      await eventually('its key too', async () => (await answers(person, { key: rawKey })).every((status) => status === 200));
      assert.ok((await answers(person, { token: person.token })).every((status) => status === 401));
    });

    it(`a deleted account, ${how}: its token buys and spends for nobody, its keys are dead, its purchases stay`, async () => {
      const person = await people.register();
      const saga = await people.buy(person, 100);
      const spent = await people.consume(person, 3);
      const { rawKey } = await people.key(person);
      assert.ok((await answers(person, { key: rawKey })).every((status) => status === 200));
      if (byRoute) await asAdmin('DELETE', `${USERS}/${person.userId}`);
      else await database.query('DELETE FROM users WHERE id = $1', [person.userId]);
      await allRefused(person, { token: person.token }, { key: rawKey });
      for (const way of WAYS) {
        const body = { userId: person.userId, provider: 'openai', tokens: 5 };
        for (const path of ['/api/v1/tokens/purchase', '/api/v1/tokens/consume']) {
          assert.equal(await statusOf(way, 'tokens', 'POST', path, { token: person.token, body }), 401, path);
          assert.equal(await statusOf(way, 'tokens', 'POST', path, { key: rawKey, body }), 401, path);
        }
      }
      for (const path of [`/api/v1/tokens/purchase/${String(saga['id'])}`, `/api/v1/tokens/consume/${spent.body.consumptionId}`]) {
        const { status, body } = await people.call('GET', path, { token: admin.token });
        assert.deepEqual([status, body.userId], [200, person.userId]);
      }
    });

    it(`a membership, ${how}: it spends and sees nothing of the organisation, by token and by key`, async () => {
      const [owner, member] = await Promise.all([people.register(), people.register()]);
      const orgId = await people.org(owner, member);
      await people.buy(owner, 1_000, { orgId });
      const bound = await people.key(member, { orgId });
      const free = await people.key(member);
      const spend = (way: Way, options: CallOptions) =>
        statusOf(way, 'tokens', 'POST', '/api/v1/tokens/consume', {
          ...options,
          body: { userId: member.userId, orgId, provider: 'openai', tokens: 1 },
        });
      const quota = (way: Way, options: CallOptions) =>
        statusOf(way, 'tokens', 'GET', `/api/v1/tokens/quota/org?orgId=${orgId}&provider=openai`, options);
      const all = async () =>
        (
          await Promise.all(
            WAYS.flatMap((way) =>
              [{ token: member.token }, { key: free.rawKey }, { key: bound.rawKey }].flatMap((one) => [spend(way, one), quota(way, one)]),
            ),
          )
        ).join();
      assert.match(await all(), /^200(,200)*$/);
      if (byRoute) {
        const path = `/api/v1/auth/orgs/${orgId}/members?userId=${member.userId}`;
        assert.equal((await people.call('DELETE', path, { token: owner.token })).status, 204);
      } else await database.query('DELETE FROM org_members WHERE org_id = $1 AND user_id = $2', [orgId, member.userId]);
      await eventually('all is refused', async () => (await all()) === '403,403,403,403,401,401,403,403,403,403,401,401', WITHIN_MS);
    });

    it(`the role of an OWNER, ${how}: it no longer sees what members did`, async () => {
      const [owner, member] = await Promise.all([people.register(), people.register()]);
      const orgId = await people.org(owner, member);
      const saga = await people.buy(member, 100, { orgId });
      const promoted = { token: owner.token, body: { userId: member.userId, role: 'OWNER' } };
      assert.equal((await people.call('POST', `/api/v1/auth/orgs/${orgId}/members`, promoted)).status, 200);
      const sees = async () =>
        Promise.all(
          WAYS.flatMap((way) => [
            statusOf(way, 'tokens', 'GET', `/api/v1/tokens/purchase/${String(saga['id'])}`, { token: owner.token }),
            statusOf(way, 'tokens', 'GET', `/api/v1/tokens/purchases?orgId=${orgId}`, { token: owner.token }),
          ]),
        );
      assert.deepEqual(await sees(), [200, 200, 200, 200]);
      if (byRoute) {
        const demoted = { token: owner.token, body: { userId: owner.userId, role: 'MEMBER' } };
        assert.equal((await people.call('POST', `/api/v1/auth/orgs/${orgId}/members`, demoted)).status, 200);
      } else await database.query(`UPDATE org_members SET role = 'MEMBER' WHERE org_id = $1 AND user_id = $2`, [orgId, owner.userId]);
      await eventually('it sees nothing', async () => (await sees()).join() === '404,403,404,403', WITHIN_MS);
    });
  }

  it('an API key that was deleted in the database', async () => {
    const person = await people.register();
    const { id, rawKey } = await people.key(person);
    assert.ok((await answers(person, { key: rawKey })).every((status) => status === 200));
    await database.query('DELETE FROM api_keys WHERE id = $1', [id]);
    await allRefused(person, { key: rawKey });
  });
});
