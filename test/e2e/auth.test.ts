import assert from 'node:assert/strict';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { randomBytes, randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { withSystem } from '../support/system.js';
import { Contract, WAYS } from './contract.js';
import { assertProblem, ownAddress } from './http.js';
import { PASSWORD, People, type Person } from './people.js';

const REGISTER = '/api/v1/auth/register';
const LOGIN = '/api/v1/auth/login';
const KEYS = '/api/v1/auth/api-keys';
const VALIDATE = '/api/v1/auth/api-keys/validate';
const ORGS = '/api/v1/auth/orgs';
const INVITATIONS = '/api/v1/auth/invitations';
const MEMBERS = '/api/v1/auth/orgs/{orgId}/members';
const HOUR_MS = 3_600_000;

const newcomer = () => {
  const username = `new-${randomBytes(6).toString('hex')}`;
  return { username, email: `${username}@example.com`, password: PASSWORD };
};

describe('the contract of the auth service', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let ada: Person;
  let bob: Person;
  before(async () => {
    [ada, bob] = await Promise.all([people.register(), people.register()]);
  });

  for (const way of WAYS) {
    describe(way, () => {
      it('register answers 201 with an account of role USER and a token that works', async () => {
        const body = newcomer();
        const { status, body: account } = await contract.ask(way, 'POST', REGISTER, { body });
        assert.equal(status, 201);
        assert.deepEqual([account.username, account.email, account.roles], [body.username, body.email, ['USER']]);
        assert.ok(Math.abs(Date.parse(account.createdAt) - Date.now()) < 60_000);
        const keys = await contract.ask(way, 'GET', KEYS, { token: account.token, query: { userId: account.userId } });
        assert.deepEqual([keys.status, keys.body], [200, []]);
      });

      for (const [what, wrong] of Object.entries({
        'a username of 2 characters': { username: 'ab' },
        'a username of 51 characters': { username: 'a'.repeat(51) },
        'no real email': { email: 'nowhere' },
        'a password of 7 characters': { password: '1234567' },
        'a password of 73 bytes': { password: 'é'.repeat(36) + 'x' },
        'no password': { password: undefined },
        'a null username': { username: null },
        'a number as email': { email: 7 },
      })) {
        it(`register refuses ${what} with 400 that names the member`, async () => {
          const answer = await contract.ask(way, 'POST', REGISTER, { body: { ...newcomer(), ...wrong } });
          assertProblem(answer, 400, 'INVALID_REQUEST');
          assert.equal(answer.body.errors[0].field, Object.keys(wrong)[0]);
        });
      }

      it('register takes 3 and 50 characters and a password of 72 bytes', async () => {
        const short = { ...newcomer(), username: randomBytes(2).toString('hex').slice(0, 3), password: 'é'.repeat(36) };
        const answer = await contract.ask(way, 'POST', REGISTER, { body: short });
        assert.ok([201, 409].includes(answer.status), answer.text);
        const long = { ...newcomer(), username: randomBytes(25).toString('hex'), password: '12345678' };
        assert.equal((await contract.ask(way, 'POST', REGISTER, { body: long })).status, 201);
      });

      it('register refuses a taken username and a taken email with 409, in any case of letters', async () => {
        const first = newcomer();
        assert.equal((await contract.ask(way, 'POST', REGISTER, { body: first })).status, 201);
        const sameName = { ...newcomer(), username: first.username.toUpperCase() };
        assertProblem(await contract.ask(way, 'POST', REGISTER, { body: sameName }), 409, 'CONFLICT');
        const sameEmail = { ...newcomer(), email: first.email.toUpperCase() };
        assertProblem(await contract.ask(way, 'POST', REGISTER, { body: sameEmail }), 409, 'CONFLICT');
      });

      it('of 8 registrations of one name at once, exactly one is let through', async () => {
        const { username } = newcomer();
        const bodies = Array.from({ length: 8 }, () => ({ ...newcomer(), username }));
        const answers = await Promise.all(bodies.map((body) => contract.ask(way, 'POST', REGISTER, { body })));
        assert.deepEqual(answers.map(({ status }) => status).sort(), [201, ...Array.from({ length: 7 }, () => 409)]);
      });

      it('login answers 200 with a token of one hour, signed RS256 by a key of the JWKS, with the claims of the contract', async () => {
        const { status, body } = await contract.ask(way, 'POST', LOGIN, { body: { username: ada.username, password: PASSWORD } });
        assert.equal(status, 200);
        assert.deepEqual([body.userId, body.username, body.roles], [ada.userId, ada.username, ['USER']]);
        const header = decodeProtectedHeader(body.token);
        const jwks = await contract.ask(way, 'GET', '/oauth2/jwks');
        assert.equal(header.alg, 'RS256');
        assert.ok(jwks.body.keys.some((key: { kid: string }) => key.kid === header.kid));
        const claims = decodeJwt(body.token);
        assert.deepEqual(
          [claims.sub, claims['username'], claims['roles'], claims['orgs']],
          [ada.userId, ada.username, ['USER'], undefined],
        );
        for (const name of ['iss', 'aud', 'jti', 'iat', 'exp']) assert.ok(claims[name], name);
        assert.equal((claims.exp ?? 0) - (claims.iat ?? 0), 3_600);
        assert.equal(Date.parse(body.expiresAt), (claims.exp ?? 0) * 1_000);
        assert.ok(Math.abs(Date.parse(body.expiresAt) - Date.now() - HOUR_MS) < 60_000);
      });

      it('login answers unknown user and wrong password alike with 401', async () => {
        const wrong = await contract.ask(way, 'POST', LOGIN, { body: { username: ada.username, password: 'wrong password' } });
        const unknown = await contract.ask(way, 'POST', LOGIN, { body: { username: newcomer().username, password: 'wrong password' } });
        assertProblem(wrong, 401, 'INVALID_CREDENTIALS');
        const timeless = ({ timestamp: _t, correlationId: _c, ...rest }: Record<string, unknown>) => rest;
        assert.deepEqual(timeless(wrong.body), timeless(unknown.body));
      });

      it('login answers 429 with Retry-After when one account is guessed at too often, and others go on', async () => {
        const victim = await people.register();
        const headers = { 'X-Forwarded-For': ownAddress() };
        const guess = () => contract.ask(way, 'POST', LOGIN, { headers, body: { username: victim.username, password: 'guess guess' } });
        const statuses: number[] = [];
        for (let n = 0; n < 11; n++) statuses.push((await guess()).status);
        assert.deepEqual(statuses, [...Array.from({ length: 10 }, () => 401), 429]);
        const refused = await contract.ask(way, 'POST', LOGIN, { headers, body: { username: victim.username, password: PASSWORD } });
        assertProblem(refused, 429, 'LOGIN_THROTTLED');
        assert.ok(Number(refused.headers['retry-after']) >= 1);
        const other = await contract.ask(way, 'POST', LOGIN, { headers, body: { username: ada.username, password: PASSWORD } });
        assert.equal(other.status, 200);
      });

      it('an API key is shown once, listed without its secret, validated, and dead everywhere within a second of its removal', async () => {
        const expiresAt = new Date(Date.now() + HOUR_MS).toISOString();
        const created = await contract.ask(way, 'POST', KEYS, {
          token: ada.token,
          body: { userId: ada.userId, name: `key ${way}`, expiresAt },
        });
        assert.equal(created.status, 201);
        const { id, rawKey } = created.body;
        assert.deepEqual([created.body.userId, created.body.name, created.body.expiresAt], [ada.userId, `key ${way}`, expiresAt]);
        assert.match(rawKey, new RegExp(`^leaky_${ada.userId}_[0-9a-f]{32,}$`));

        const listed = await contract.ask(way, 'GET', KEYS, { token: ada.token, query: { userId: ada.userId } });
        assert.ok(listed.body.some((key: { id: string }) => key.id === id));
        assert.ok(!listed.text.includes(rawKey.slice(-16)));
        const valid = await contract.ask(way, 'GET', VALIDATE, { key: rawKey });
        assert.deepEqual(
          [valid.status, valid.body],
          [200, { userId: ada.userId, name: `key ${way}`, orgId: null, expiresAt, roles: ['USER'] }],
        );

        const uses = await people.buy(ada, 50).then(() => [
          ...WAYS.flatMap((path) => [
            () => contract.ask(path, 'GET', VALIDATE, { key: rawKey }),
            () => contract.ask(path, 'GET', '/api/v1/tokens/quota', { key: rawKey, query: { userId: ada.userId, provider: 'openai' } }),
            () =>
              contract.ask(path, 'POST', '/api/v1/tokens/consume', {
                key: rawKey,
                body: { userId: ada.userId, provider: 'openai', tokens: 1 },
              }),
            () => contract.ask(path, 'GET', '/api/v1/analytics/usage', { key: rawKey, query: { provider: 'openai' } }),
            () => contract.ask(path, 'GET', ORGS, { key: rawKey }),
          ]),
        ]);
        for (const use of uses) assert.equal((await use()).status, 200);

        const removed = await contract.ask(way, 'DELETE', KEYS, { token: ada.token, query: { userId: ada.userId, apiKeyId: id } });
        assert.equal(removed.status, 204);
        const dead = async () => (await Promise.all(uses.map((use) => use()))).every(({ status }) => status === 401);
        await eventually('refused everywhere', dead, 1_000);
        const again = await contract.ask(way, 'DELETE', KEYS, { token: ada.token, query: { userId: ada.userId, apiKeyId: id } });
        assertProblem(again, 404);
      });

      it('API keys are refused for others (403), without a token (401), with an expiry in the past or bad members (400)', async () => {
        const make = (token: string | undefined, body: object) => contract.ask(way, 'POST', KEYS, { token, body });
        assertProblem(await make(bob.token, { userId: ada.userId, name: 'x' }), 403);
        assertProblem(await make(undefined, { userId: ada.userId, name: 'x' }), 401);
        for (const wrong of [
          { expiresAt: '2020-01-01T00:00:00Z' },
          { expiresAt: 'soon' },
          { name: '' },
          { userId: 'me' },
          { tier: 'PLATINUM' },
        ]) {
          assertProblem(await make(ada.token, { userId: ada.userId, name: 'x', ...wrong }), 400);
        }
        assertProblem(await make(ada.token, { userId: ada.userId, name: 'x', tier: 'GOLD' }), 403);
        assertProblem(await make(ada.token, { userId: ada.userId, name: 'x', orgId: randomUUID() }), 403);
        const admin = await people.admin();
        assertProblem(await make(admin.token, { userId: randomUUID(), name: 'x' }), 404);
        assertProblem(await contract.ask(way, 'GET', KEYS, { token: bob.token, query: { userId: ada.userId } }), 403);
        assertProblem(await contract.ask(way, 'GET', KEYS, { query: { userId: ada.userId } }), 401);
        assertProblem(await contract.ask(way, 'GET', KEYS, { token: ada.token }), 400);
        const { id } = await people.key(ada);
        assertProblem(await contract.ask(way, 'DELETE', KEYS, { token: bob.token, query: { userId: ada.userId, apiKeyId: id } }), 403);
        assertProblem(await contract.ask(way, 'DELETE', KEYS, { token: bob.token, query: { userId: bob.userId, apiKeyId: id } }), 404);
        assertProblem(await contract.ask(way, 'DELETE', KEYS, { token: bob.token, query: { userId: bob.userId, apiKeyId: 'x' } }), 400);
        assertProblem(await contract.ask(way, 'DELETE', KEYS, { query: { userId: ada.userId, apiKeyId: id } }), 401);
      });

      it('rotation gives a new secret; the old one works for the grace, and at once no more without one', async () => {
        const { id, rawKey } = await people.key(ada);
        const rotate = (token: string, graceSeconds: number) =>
          contract.ask(way, 'POST', `${KEYS}/{id}/rotate`, { params: { id }, token, body: { graceSeconds } });
        assertProblem(await rotate(bob.token, 1), 404);
        const first = await rotate(ada.token, 60);
        assert.deepEqual([first.status, first.body.id], [200, id]);
        for (const key of [rawKey, first.body.rawKey]) assert.equal((await contract.ask(way, 'GET', VALIDATE, { key })).status, 200);
        const second = await rotate(ada.token, 0);
        await eventually(
          'the secret before is refused',
          async () => {
            return (await contract.ask(way, 'GET', VALIDATE, { key: first.body.rawKey })).status === 401;
          },
          1_000,
        );
        assert.equal((await contract.ask(way, 'GET', VALIDATE, { key: second.body.rawKey })).status, 200);
        assertProblem(await rotate(ada.token, -1), 400);
        assertProblem(await contract.ask(way, 'POST', `${KEYS}/{id}/rotate`, { params: { id: 'x' }, token: ada.token, body: {} }), 400);
        const params = { id: randomUUID() };
        assertProblem(await contract.ask(way, 'POST', `${KEYS}/{id}/rotate`, { params, token: ada.token, body: {} }), 404);
        assertProblem(await contract.ask(way, 'POST', `${KEYS}/{id}/rotate`, { params, body: {} }), 401);
      });

      it('validate answers 401 for no key, a made-up one, one with a wrong checksum and one that has expired', async () => {
        const { rawKey } = await people.key(ada, { expiresAt: new Date(Date.now() + 700).toISOString() });
        for (const key of [
          undefined,
          '',
          'leaky_',
          `leaky_${ada.userId}_${'0'.repeat(40)}`,
          rawKey.slice(0, -1) + (rawKey.endsWith('0') ? '1' : '0'),
        ]) {
          assertProblem(await contract.ask(way, 'GET', VALIDATE, { key }), 401);
        }
        await eventually('expiry', async () => (await contract.ask(way, 'GET', VALIDATE, { key: rawKey })).status === 401, 3_000);
      });

      it('the JWKS is public, cacheable and has no private part', async () => {
        const { status, headers, body } = await contract.ask(way, 'GET', '/oauth2/jwks');
        assert.equal(status, 200);
        assert.match(headers['cache-control'] ?? '', /max-age=\d+/);
        for (const key of body.keys) {
          assert.deepEqual([key.kty, key.alg, key.use], ['RSA', 'RS256', 'sig']);
          for (const part of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.ok(!(part in key), part);
        }
      });

      it('a rotated signing key signs from then on, and tokens of the one before stay good', async () => {
        assertProblem(await contract.ask(way, 'POST', '/api/v1/auth/signing-keys/rotate', { token: ada.token }), 403);
        assertProblem(await contract.ask(way, 'POST', '/api/v1/auth/signing-keys/rotate'), 401);
        const { token } = await people.admin();
        const before = await people.register();
        const rotated = await contract.ask(way, 'POST', '/api/v1/auth/signing-keys/rotate', { token });
        assert.equal(rotated.status, 200);
        const after = await people.register();
        assert.equal(decodeProtectedHeader(after.token).kid, rotated.body.kid);
        for (const path of WAYS) {
          for (const person of [before, after]) {
            const query = { userId: person.userId };
            assert.equal((await contract.ask(path, 'GET', KEYS, { token: person.token, query })).status, 200);
            const quota = await contract.ask(path, 'GET', '/api/v1/tokens/quota', {
              token: person.token,
              query: { ...query, provider: 'openai' },
            });
            assertProblem(quota, 404);
          }
        }
      });

      it('organisations have OWNERs who invite, change and remove members, and keep at least one OWNER', async () => {
        const created = await contract.ask(way, 'POST', ORGS, { token: ada.token, body: { name: 'Difference Engines' } });
        assert.deepEqual([created.status, created.body.role, created.body.name], [201, 'OWNER', 'Difference Engines']);
        const params = { orgId: created.body.orgId as string };
        const put = (token: string | undefined, body: object) => contract.ask(way, 'POST', MEMBERS, { params, token, body });
        const drop = (token: string, userId: string) => contract.ask(way, 'DELETE', MEMBERS, { params, token, query: { userId } });

        assertProblem(await put(bob.token, { userId: bob.userId }), 403);
        assertProblem(await put(undefined, { userId: bob.userId }), 401);
        assertProblem(await contract.ask(way, 'GET', MEMBERS, { params, token: bob.token }), 403);
        const invited = await put(ada.token, { userId: bob.userId });
        assert.deepEqual([invited.status, invited.body.role, 'username' in invited.body], [202, 'MEMBER', true]);
        assertProblem(await contract.ask(way, 'GET', MEMBERS, { params, token: bob.token }), 403);
        const waiting = await contract.ask(way, 'GET', INVITATIONS, { token: bob.token });
        const { id } = waiting.body.find(({ orgId }: { orgId: string }) => orgId === params.orgId) as { id: string };
        const accepted = await contract.ask(way, 'POST', `${INVITATIONS}/{ref}/accept`, { params: { ref: id }, token: bob.token });
        assert.deepEqual([accepted.status, accepted.body.role], [200, 'MEMBER']);
        assertProblem(await put(bob.token, { userId: bob.userId, role: 'OWNER' }), 403);
        const listed = await contract.ask(way, 'GET', MEMBERS, { params, token: bob.token });
        assert.deepEqual(listed.body.map((member: { userId: string }) => member.userId).sort(), [ada.userId, bob.userId].sort());
        const mine = await contract.ask(way, 'GET', ORGS, { token: bob.token });
        assert.ok(mine.body.some(({ orgId, role }: Record<string, string>) => orgId === params.orgId && role === 'MEMBER'));

        assertProblem(await put(ada.token, { userId: ada.userId, role: 'MEMBER' }), 409);
        assertProblem(await drop(ada.token, ada.userId), 409);
        assert.equal((await put(ada.token, { userId: bob.userId, role: 'OWNER' })).status, 200);
        assert.equal((await drop(bob.token, ada.userId)).status, 204);
        assertProblem(await drop(bob.token, ada.userId), 404);
        assertProblem(await put(bob.token, { userId: randomUUID() }), 404);
        assertProblem(await put(bob.token, { userId: 'x' }), 400);
        assertProblem(await put(bob.token, { userId: ada.userId, role: 'KING' }), 400);
        const nowhere = { params: { orgId: randomUUID() }, token: (await people.admin()).token };
        assertProblem(await contract.ask(way, 'GET', MEMBERS, nowhere), 404);
        assertProblem(await contract.ask(way, 'POST', ORGS, { token: ada.token, body: { name: ' ' } }), 400);
        assertProblem(await contract.ask(way, 'POST', ORGS, { body: { name: 'x' } }), 401);
        assertProblem(await contract.ask(way, 'GET', ORGS), 401);
      });
    });
  }
});
