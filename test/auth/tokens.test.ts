import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  SignJWT,
  UnsecuredJWT,
  createRemoteJWKSet,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  jwtVerify,
  type CryptoKey,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
} from 'jose';
import { withEcho } from './echo-service.js';
import { assertProblem, call, withAuth, within } from './support.js';

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('tokens', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const echo = withEcho(auth);
  let kid = '';
  let privateJwk: JWK;
  let publicJwk: JWK;
  let stranger: { publicKey: CryptoKey; privateKey: CryptoKey };
  let strangersJwk: JWK;
  let strangersJwks: Server;
  let strangersUrl = '';
  let fetchedFromStranger = 0;

  before(async () => {
    const { rows } = await auth().pool.query('SELECT kid, private_jwk, public_jwk FROM signing_keys WHERE retired_at IS NULL');
    kid = rows[0].kid;
    privateJwk = JSON.parse(rows[0].private_jwk);
    publicJwk = rows[0].public_jwk;
    stranger = await generateKeyPair('RS256', { extractable: true });
    strangersJwk = { ...(await exportJWK(stranger.publicKey)), kid, alg: 'RS256', use: 'sig' };
    strangersJwks = createServer((_req, res) => {
      fetchedFromStranger++;
      res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [strangersJwk] }));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => strangersJwks.once('listening', resolve));
    strangersUrl = `http://127.0.0.1:${(strangersJwks.address() as AddressInfo).port}/jwks`;
  });
  after(() => strangersJwks.close());

  const now = () => Math.floor(Date.now() / 1_000);
  const goodClaims = (): JWTPayload => ({
    iss: auth().config.auth.issuer,
    aud: auth().config.auth.audience,
    sub: '7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11',
    username: 'mallory',
    roles: ['ADMIN'],
    iat: now(),
    exp: now() + 600,
    jti: randomUUID(),
  });
  const sign = async (
    claims: Record<string, unknown> = {},
    header: Partial<JWTHeaderParameters> = {},
    key?: CryptoKey,
  ): Promise<string> => {
    const full = { alg: 'RS256', typ: 'JWT', kid, ...header };
    const signingKey = key ?? ((await importJWK({ ...privateJwk, alg: full.alg }, full.alg)) as CryptoKey);
    return new SignJWT(JSON.parse(JSON.stringify({ ...goodClaims(), ...claims }))).setProtectedHeader(full).sign(signingKey);
  };
  const hs256 = (secret: string | Buffer, header: object = {}) => {
    const input = `${base64url({ alg: 'HS256', typ: 'JWT', kid, ...header })}.${base64url(goodClaims())}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const swapPayload = async (claims: object) => {
    const [head, , signature] = (await sign()).split('.');
    return `${head}.${base64url({ ...goodClaims(), ...claims })}.${signature}`;
  };

  it('a token signed by the active key is accepted: the attacks below fail for their own reason', async () => {
    const answer = await call(echo().url, 'GET', '/whoami', { token: await sign({ iat: now() + 3 }) });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.username, 'mallory');
  });

  it('a token that carries organisations, as those of before do, is accepted and they are ignored', async () => {
    for (const orgs of [[], [randomUUID()], 'whatever']) {
      const answer = await call(echo().url, 'GET', '/whoami', { token: await sign({ orgs }) });
      assert.equal(answer.status, 200);
      assert.equal('orgs' in answer.body, false);
    }
  });

  const attacks: Record<string, () => Promise<string>> = {
    'alg none': async () => new UnsecuredJWT(goodClaims()).encode(),
    'alg None with a kid': async () => `${base64url({ alg: 'None', typ: 'JWT', kid })}.${base64url(goodClaims())}.`,
    'RS256 without a signature': async () => `${(await sign()).split('.').slice(0, 2).join('.')}.`,
    'HS256 with the public key (PEM) as secret': async () =>
      hs256(await exportSPKI((await importJWK(publicJwk, 'RS256', { extractable: true })) as CryptoKey)),
    'HS256 with the modulus as secret': async () => hs256(Buffer.from(publicJwk.n as string, 'base64url')),
    'HS256 with an empty secret': async () => hs256(''),
    'HS256 with a symmetric jwk header': async () =>
      hs256('secret', { jwk: { kty: 'oct', k: Buffer.from('secret').toString('base64url') } }),
    'another key under the right kid': () => sign({}, {}, stranger.privateKey),
    'another key brought in a jwk header': () => sign({}, { jwk: strangersJwk } as object, stranger.privateKey),
    'another key behind a jku header': () => sign({}, { jku: strangersUrl } as object, stranger.privateKey),
    'another key behind an x5u header': () => sign({}, { x5u: strangersUrl } as object, stranger.privateKey),
    'the right key, but a jku header': () => sign({}, { jku: strangersUrl } as object),
    'the right key, but a jwk header': () => sign({}, { jwk: strangersJwk } as object),
    'the right key, but an x5u header': () => sign({}, { x5u: strangersUrl } as object),
    'the right key with RS512': () => sign({}, { alg: 'RS512' }),
    'the right key with PS256': () => sign({}, { alg: 'PS256' }),
    'no kid': () => sign({}, { kid: undefined } as object),
    'an unknown kid': () => sign({}, { kid: randomUUID() }),
    'a kid that is a path': () => sign({}, { kid: '../../etc/passwd' }),
    'another type': () => sign({}, { typ: 'at+jwt' }),
    'another issuer': () => sign({ iss: 'https://elsewhere.example' }),
    'no issuer': () => sign({ iss: undefined }),
    'another audience': () => sign({ aud: 'someone-else' }),
    'no audience': () => sign({ aud: undefined }),
    'expired an hour ago': () => sign({ iat: now() - 7200, exp: now() - 3600 }),
    'expired a second ago': () => sign({ exp: now() - 1 }),
    'no expiry': () => sign({ exp: undefined }),
    'issued in the future': () => sign({ iat: now() + 60 }),
    'not valid before a minute from now': () => sign({ nbf: now() + 60 }),
    'no subject': () => sign({ sub: undefined }),
    'a subject that is no id': () => sign({ sub: 'root' }),
    'no jti': () => sign({ jti: undefined }),
    'roles that are a text': () => sign({ roles: 'ADMIN' }),
    'a changed payload': () => swapPayload({ sub: randomUUID() }),
    'a cut-off token': async () => (await sign()).slice(0, -8),
    'no JWT at all': async () => 'abc.def.ghi',
    'one word': async () => 'token',
    'a huge one': async () => 'a'.repeat(10_000),
  };
  for (const [what, make] of Object.entries(attacks)) {
    it(`refused, by the auth service and by any other: ${what}`, async () => {
      const token = await make();
      assertProblem(await call(echo().url, 'GET', '/whoami', { token }), 401, 'UNAUTHENTICATED');
      assertProblem(await call(echo().url, 'GET', '/maybe', { token }), 401, 'UNAUTHENTICATED');
      assertProblem(await auth().call('GET', '/api/v1/auth/orgs', { token }), 401, 'UNAUTHENTICATED');
    });
  }

  it('no attack made the services fetch a key from elsewhere', () => {
    assert.equal(fetchedFromStranger, 0);
  });

  it('an accepted token is refused from its expiry on, although it was remembered', async () => {
    const token = await sign({ exp: now() + 2 });
    const end = (now() + 2) * 1_000;
    await within(10_000, async () => {
      const asked = Date.now();
      const { status } = await call(echo().url, 'GET', '/whoami', { token });
      assert.ok(status === 401 || asked < end, `accepted ${asked - end} ms after its expiry`);
      return status === 401;
    });
    assert.ok(Date.now() >= end, 'refused before its expiry');
  });

  it('other schemes and empty credentials: 401; none at all: 401 or, where optional, no caller', async () => {
    for (const authorization of ['Basic YTpi', 'Bearer', 'Bearer a b', '', 'leaky']) {
      assertProblem(await call(echo().url, 'GET', '/whoami', { headers: { authorization } }), 401, 'UNAUTHENTICATED');
    }
    const answer = await call(echo().url, 'GET', '/whoami');
    assertProblem(answer, 401, 'UNAUTHENTICATED');
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
    assert.equal((await call(echo().url, 'GET', '/maybe')).body, null);
    assert.equal((await call(echo().url, 'GET', '/forward')).body, null);
  });

  it('identity headers that a client sends mean nothing', async () => {
    const { token, userId } = await auth().register();
    const headers = { 'x-user-id': 'someone', 'x-user-roles': 'ADMIN' };
    const { body } = await call(echo().url, 'GET', '/whoami', { token, headers });
    assert.deepEqual([body.userId, body.roles], [userId, ['USER']]);
  });

  it('the JWKS is cacheable, has public parts only, and verifies tokens in any client', async () => {
    const { body, headers, status } = await auth().call('GET', '/oauth2/jwks');
    assert.equal(status, 200);
    assert.match(headers.get('cache-control') ?? '', /public, max-age=\d+/);
    for (const key of body.keys) assert.deepEqual(Object.keys(key).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use']);
    const etag = headers.get('etag') ?? '';
    const again = await fetch(`${auth().url}/oauth2/jwks`, { headers: { 'if-none-match': etag, 'cache-control': 'max-age=0' } });
    assert.equal(again.status, 304);
    const { token, userId } = await auth().register();
    const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(`${auth().url}/oauth2/jwks`)));
    assert.equal(payload.sub, userId);
  });
});
