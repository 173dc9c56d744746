import assert from 'node:assert/strict';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, decodeJwt, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { withSystem } from '../support/system.js';
import { WAYS, type ServiceName, type Way } from './contract.js';
import { assertProblem, call, ownAddress, type CallOptions } from './http.js';
import { PASSWORD, People, type Person } from './people.js';

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A route of each service that needs a caller. */
const PROBES: [ServiceName, string][] = [
  ['auth', '/api/v1/auth/orgs'],
  ['tokens', '/api/v1/tokens/purchases'],
  ['analytics', '/api/v1/analytics/usage?provider=openai'],
];

describe('an attacker', () => {
  const system = withSystem();
  const people = new People(system);
  let victim: Person;
  let attacker: Person;
  let orgId: string;
  let keyId: string;
  let sagaId: string;
  let consumptionId: string;

  before(async function () {
    this.timeout(60_000);
    [victim, attacker] = await Promise.all([people.register(), people.register()]);
    orgId = await people.org(victim);
    keyId = (await people.key(victim)).id;
    sagaId = (await people.buy(victim, 100))['id'] as string;
    await people.buy(victim, 100, { orgId });
    consumptionId = (await people.consume(victim, 1)).body.consumptionId as string;
  });

  const baseOf = (way: Way, service: ServiceName) => (way === 'directly' ? system()[service] : system().gateway);
  const probeAll = async (options: CallOptions, status: number) => {
    for (const way of WAYS) {
      for (const [service, path] of PROBES) {
        const answer = await call(baseOf(way, service), 'GET', path, options);
        assert.equal(answer.status, status, `${service} ${way}: ${answer.text}`);
        if (status >= 400) assertProblem(answer, status);
      }
    }
  };
  const headerOf = () => decodeProtectedHeader(victim.token);
  const claimsOf = () => ({ ...decodeJwt(victim.token), roles: ['ADMIN'] });

  it('gets nowhere with tokens that are unsigned, or signed with what is public or its own', async () => {
    const { kid = '' } = headerOf();
    const { body } = await call(system().auth, 'GET', '/oauth2/jwks');
    const published = body.keys[0] as JWK;
    const own = await generateKeyPair('RS256', { extractable: true });
    const ownJwk = await exportJWK(own.publicKey);
    const signed = (header: object) =>
      new SignJWT(claimsOf()).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid, ...header }).sign(own.privateKey);
    const hmac = (secret: string | Buffer, alg: string) => {
      const input = `${base64url({ alg, typ: 'JWT', kid })}.${base64url(claimsOf())}`;
      return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    };
    const [head = '', payload = '', signature = ''] = victim.token.split('.');
    const forged: Record<string, string> = {
      'alg none': new UnsecuredJWT(claimsOf()).encode(),
      'alg None': `${base64url({ alg: 'None', typ: 'JWT', kid })}.${base64url(claimsOf())}.`,
      'alg none with the kid': `${base64url({ alg: 'none', typ: 'JWT', kid })}.${base64url(claimsOf())}.`,
      'HS256 with the modulus': hmac(Buffer.from(published.n ?? '', 'base64url'), 'HS256'),
      'HS256 with the published JSON': hmac(JSON.stringify(published), 'HS256'),
      'HS256 with nothing': hmac('', 'HS256'),
      'a key of its own under our kid': await signed({}),
      'a key of its own in jwk': await signed({ jwk: ownJwk }),
      'a key of its own behind jku': await signed({ jku: `${system().gateway}/oauth2/jwks` }),
      'a certificate address': await signed({ x5u: 'http://127.0.0.1:1/x' }),
      'a kid that is a path': await signed({ kid: '../../dev/null' }),
      'a kid that is SQL': await signed({ kid: "' OR '1'='1" }),
      'other claims under the true signature': `${head}.${base64url(claimsOf())}.${signature}`,
      'no signature': `${head}.${payload}.`,
      'a cut signature': victim.token.slice(0, -4),
      'a fourth part': `${victim.token}.x`,
    };
    for (const [what, token] of Object.entries(forged)) {
      await probeAll({ token, headers: { 'X-Forwarded-For': ownAddress() } }, 401).catch((error: unknown) => {
        throw new Error(what, { cause: error });
      });
    }
    assert.ok(await importJWK(published, 'RS256'));
    await probeAll({ token: victim.token }, 200);
  });

  it('gets nothing by headers that say who it is', async () => {
    const identity = {
      'X-User-Id': victim.userId,
      'X-User-Roles': 'ADMIN',
      'X-User-Name': 'admin',
      'X-Roles': 'ADMIN',
      'X-Internal-Jwt': victim.token,
      'X-Authenticated-User': victim.userId,
      X_User_Id: victim.userId,
      'X-Test-User': victim.userId,
      'X-Org-Id': orgId,
    };
    await probeAll({ headers: { ...identity, 'X-Forwarded-For': ownAddress() } }, 401);
    for (const way of WAYS) {
      const path = `/api/v1/tokens/quota?userId=${victim.userId}&provider=openai`;
      assertProblem(await call(baseOf(way, 'tokens'), 'GET', path, { token: attacker.token, headers: identity }), 403);
    }
  });

  it('reads and changes nothing of someone else’s by naming its ids, on any route', async () => {
    const { userId } = victim;
    const span = 'from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z&step=1m';
    const routes: [ServiceName, string, string, object | undefined, number][] = [
      ['auth', 'GET', `/api/v1/auth/api-keys?userId=${userId}`, undefined, 403],
      ['auth', 'POST', '/api/v1/auth/api-keys', { userId, name: 'x' }, 403],
      ['auth', 'POST', '/api/v1/auth/api-keys', { userId: attacker.userId, name: 'x', orgId }, 403],
      ['auth', 'POST', '/api/v1/auth/api-keys', { userId: attacker.userId, name: 'x', tier: 'ENTERPRISE' }, 403],
      ['auth', 'DELETE', `/api/v1/auth/api-keys?userId=${userId}&apiKeyId=${keyId}`, undefined, 403],
      ['auth', 'DELETE', `/api/v1/auth/api-keys?userId=${attacker.userId}&apiKeyId=${keyId}`, undefined, 404],
      ['auth', 'POST', `/api/v1/auth/api-keys/${keyId}/rotate`, { graceSeconds: 0 }, 404],
      ['auth', 'GET', `/api/v1/auth/orgs/${orgId}/members`, undefined, 403],
      ['auth', 'POST', `/api/v1/auth/orgs/${orgId}/members`, { userId: attacker.userId, role: 'OWNER' }, 403],
      ['auth', 'DELETE', `/api/v1/auth/orgs/${orgId}/members?userId=${userId}`, undefined, 403],
      ['auth', 'POST', '/api/v1/auth/signing-keys/rotate', {}, 403],
      ['tokens', 'GET', `/api/v1/tokens/quota?userId=${userId}&provider=openai`, undefined, 403],
      ['tokens', 'GET', `/api/v1/tokens/quota/org?orgId=${orgId}&provider=openai`, undefined, 403],
      ['tokens', 'POST', '/api/v1/tokens/quota/org', { orgId, provider: 'openai', totalTokens: 0 }, 403],
      ['tokens', 'POST', '/api/v1/tokens/consume', { userId, provider: 'openai', tokens: 1 }, 403],
      ['tokens', 'POST', '/api/v1/tokens/consume', { userId: attacker.userId, orgId, provider: 'openai', tokens: 1 }, 403],
      ['tokens', 'GET', `/api/v1/tokens/consume/${consumptionId}`, undefined, 404],
      ['tokens', 'POST', '/api/v1/tokens/purchase', { userId, provider: 'openai', tokens: 1 }, 403],
      ['tokens', 'POST', '/api/v1/tokens/purchase', { userId: attacker.userId, orgId, provider: 'openai', tokens: 1 }, 403],
      ['tokens', 'GET', `/api/v1/tokens/purchase/${sagaId}`, undefined, 404],
      ['tokens', 'POST', `/api/v1/tokens/purchase/${sagaId}/cancel`, {}, 404],
      ['tokens', 'POST', `/api/v1/tokens/purchase/${sagaId}/approve`, {}, 403],
      ['tokens', 'POST', `/api/v1/tokens/purchase/${sagaId}/retry`, {}, 403],
      ['tokens', 'GET', `/api/v1/tokens/purchases?userId=${userId}`, undefined, 403],
      ['tokens', 'GET', `/api/v1/tokens/tiers/users/${userId}`, undefined, 403],
      ['tokens', 'GET', `/api/v1/tokens/tiers/orgs/${orgId}`, undefined, 403],
      ['tokens', 'PUT', `/api/v1/tokens/tiers/users/${attacker.userId}`, { tier: 'ENTERPRISE' }, 403],
      ['analytics', 'GET', `/api/v1/analytics/timeseries?userId=${userId}&${span}`, undefined, 403],
      ['analytics', 'GET', `/api/v1/analytics/timeseries?orgId=${orgId}&${span}`, undefined, 403],
    ];
    const { rawKey } = await people.key(attacker);
    const before = await people.quota(victim);
    for (const way of WAYS) {
      for (const [service, method, path, body, status] of routes) {
        for (const credentials of [{ token: attacker.token }, { key: rawKey }]) {
          const answer = await call(baseOf(way, service), method, path, { ...credentials, ...(body && { body }) });
          // A key, that is no login, may be refused where a login would see a 404.
          const expected = 'key' in credentials && status === 404 ? [403, 404] : [status];
          assert.ok(expected.includes(answer.status), `${method} ${path} ${way}: ${answer.status} ${answer.text}`);
          assertProblem(answer, answer.status);
          assert.ok(!answer.text.includes(victim.username));
        }
      }
    }
    assert.deepEqual(await people.quota(victim), before);
    assert.equal((await people.call('GET', `/api/v1/auth/api-keys?userId=${userId}`, { token: victim.token })).body.length, 1);
  });

  it('can’t make more of an API key than its owner made of it: a stolen key makes and removes no keys, and rules no organisation', async () => {
    const { rawKey } = await people.key(victim);
    const { userId } = victim;
    for (const way of WAYS) {
      const base = baseOf(way, 'auth');
      assertProblem(await call(base, 'POST', '/api/v1/auth/api-keys', { key: rawKey, body: { userId, name: 'more' } }), 403);
      assertProblem(await call(base, 'DELETE', `/api/v1/auth/api-keys?userId=${userId}&apiKeyId=${keyId}`, { key: rawKey }), 403);
      assertProblem(await call(base, 'POST', `/api/v1/auth/api-keys/${keyId}/rotate`, { key: rawKey, body: {} }), 403);
      const body = { userId: attacker.userId, role: 'OWNER' };
      assertProblem(await call(base, 'POST', `/api/v1/auth/orgs/${orgId}/members`, { key: rawKey, body }), 403);
    }
  });

  it('guesses API keys and tokens only until its address is refused; callers behind the same address go on', async () => {
    const headers = { 'X-Forwarded-For': ownAddress() };
    const path = '/api/v1/tokens/purchases';
    assert.equal((await call(system().gateway, 'GET', path, { token: victim.token, headers })).status, 200);
    const statuses: number[] = [];
    for (let n = 0; n < 125; n++) {
      const key = `leaky_${victim.userId}_${randomBytes(20).toString('hex')}`;
      statuses.push((await call(system().gateway, 'GET', path, { key, headers })).status);
    }
    assert.equal(statuses.at(-1), 429);
    assert.deepEqual([...new Set(statuses)].sort(), [401, 429]);
    assert.equal((await call(system().gateway, 'GET', path, { token: victim.token, headers })).status, 200);
  });

  it('can’t register itself more than a USER', async () => {
    const username = `mass-${randomUUID().slice(0, 8)}`;
    const account = { username, email: `${username}@example.com`, password: PASSWORD };
    const more = {
      roles: ['ADMIN'],
      role: 'ADMIN',
      isAdmin: true,
      id: victim.userId,
      userId: victim.userId,
      tier: 'ENTERPRISE',
      orgs: [orgId],
    };
    const { status, body } = await people.call('POST', '/api/v1/auth/register', { body: { ...account, ...more } });
    assert.deepEqual([status, body.roles], [201, ['USER']]);
    assert.notEqual(body.userId, victim.userId);
    const claims = decodeJwt(body.token as string);
    assert.deepEqual([claims['roles'], claims['orgs'], claims.sub], [['USER'], undefined, body.userId]);
    const tier = await people.call('GET', `/api/v1/tokens/tiers/users/${body.userId}`, { token: body.token as string });
    assert.equal(tier.body.tier, 'STANDARD');
  });

  it('writes SQL, templates and paths that stay mere text', async () => {
    const texts = [
      "'; DROP TABLE users; --",
      "' OR '1'='1",
      '"; SELECT pg_sleep(5); --',
      '${7*7}',
      '{{7*7}}',
      '../../../etc/passwd',
      '%s%s%n',
      '<script>alert(1)</script>',
    ];
    for (const text of texts) {
      const login = await people.call('POST', '/api/v1/auth/login', { body: { username: text, password: text } });
      assertProblem(login, 401, 'INVALID_CREDENTIALS');
      const org = await people.call('POST', '/api/v1/auth/orgs', { token: attacker.token, body: { name: text } });
      assert.deepEqual([org.status, org.body.name], [201, text]);
      const spent = await people.consume(victim, 1, { prompt: text });
      assert.equal(spent.status, 200);
      for (const path of [
        '/api/v1/tokens/quota?provider=openai&userId=',
        '/api/v1/analytics/usage?provider=',
        '/api/v1/tokens/purchases?cursor=',
        '/api/v1/tokens/purchase/',
      ]) {
        const answer = await people.call('GET', path + encodeURIComponent(text), { token: attacker.token });
        assertProblem(answer, 400);
      }
      assertProblem(
        await people.consume(victim, 1, {}, { headers: { 'Idempotency-Key': 'a b' + text.replaceAll(/[^\x20-\x7e]/g, '') } }),
        400,
      );
    }
    assert.equal(
      (await people.call('POST', '/api/v1/auth/login', { body: { username: victim.username, password: PASSWORD } })).status,
      200,
    );
  });

  it('does not reach what services offer each other through the gateway', async () => {
    const { rawKey } = await people.key(attacker);
    assertProblem(await people.call('POST', '/api/v1/auth/api-keys/exchange', { key: rawKey }), 404);
    for (const path of ['/API/v1/auth/api-keys/EXCHANGE', '/api/v1/auth/api-keys/exchange/', '/api/v1/auth/api-keys/%65xchange']) {
      const answer = await people.call('POST', path, { key: rawKey });
      assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status}`);
    }
  });
});
