import assert from 'node:assert/strict';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { authOperations } from '../../api/auth/service.js';
import { ADMIN, PASSWORD, assertProblem, withAuth } from './support.js';

const REGISTER = '/api/v1/auth/register';
const LOGIN = '/api/v1/auth/login';
const valid = { username: 'ada', email: 'ada@example.com', password: PASSWORD };

describe('register and login', function () {
  this.timeout(30_000);
  const auth = withAuth({ LEAKY_LOGIN_ATTEMPTS: '1000' });

  it('register: 201 with a token that works', async () => {
    const { status, body } = await auth().call('POST', REGISTER, {
      body: { username: ' Grace Hopper ', email: ' Grace@Example.COM ', password: PASSWORD, unknown: 'ignored' },
    });
    assert.equal(status, 201);
    assert.deepEqual(Object.keys(body).sort(), ['createdAt', 'email', 'roles', 'token', 'userId', 'username']);
    assert.equal(body.username, 'Grace Hopper');
    assert.equal(body.email, 'grace@example.com');
    assert.deepEqual(body.roles, ['USER']);
    assert.equal(new Date(body.createdAt).toISOString(), body.createdAt);
    const list = await auth().call('GET', `/api/v1/auth/api-keys?userId=${body.userId}`, { token: body.token });
    assert.deepEqual([list.status, list.body], [200, []]);
  });

  it('the token has the claims and the header the contract names', async () => {
    const { userId, username, token } = await auth().register();
    const { kid, alg } = decodeProtectedHeader(token);
    assert.equal(alg, 'RS256');
    assert.ok(kid);
    const claims = decodeJwt(token);
    assert.equal(claims.sub, userId);
    assert.equal(claims.username, username);
    assert.equal(claims.iss, auth().config.auth.issuer);
    assert.equal(claims.aud, auth().config.auth.audience);
    assert.deepEqual(claims.roles, ['USER']);
    assert.deepEqual(Object.keys(claims).sort(), ['aud', 'exp', 'iat', 'iss', 'jti', 'roles', 'sub', 'username']);
    assert.equal((claims.exp as number) - (claims.iat as number), 3600);
    assert.ok(claims.jti);
  });

  it('passwords are stored as bcrypt of cost 10', async () => {
    const { userId } = await auth().register();
    const { rows } = await auth().pool.query('SELECT password_hash FROM users WHERE id = $1', [userId]);
    assert.match(rows[0].password_hash, /^\$2[aby]\$10\$/);
  });

  const bad: [string, object][] = [
    ['a short username', { ...valid, username: 'ab' }],
    ['a long username', { ...valid, username: 'a'.repeat(51) }],
    ['a username of spaces', { ...valid, username: '     ' }],
    ['a username with a NUL', { ...valid, username: 'a\u0000bc' }],
    ['a username that is a number', { ...valid, username: 12345 }],
    ['a username that is null', { ...valid, username: null }],
    ['a username that is an object', { ...valid, username: { $ne: '' } }],
    ['no username', { email: valid.email, password: valid.password }],
    ['an email without a domain', { ...valid, email: 'ada@' }],
    ['an email that is a list', { ...valid, email: ['a@b.cd'] }],
    ['a long email', { ...valid, email: `${'a'.repeat(250)}@b.cd` }],
    ['a short password', { ...valid, password: '1234567' }],
    ['a password of 73 bytes', { ...valid, password: 'a'.repeat(73) }],
    ['a password of 40 characters and 80 bytes', { ...valid, password: 'é'.repeat(40) }],
    ['a password that is a number', { ...valid, password: 123456789 }],
    ['a list', [valid]],
  ];
  for (const [what, body] of bad) {
    it(`register with ${what}: 400`, async () => {
      const answer = await auth().call('POST', REGISTER, { body });
      assertProblem(answer, 400, 'INVALID_REQUEST');
      assert.ok(answer.body.errors.length > 0);
    });
  }

  it('a password of exactly 72 bytes works, and only as a whole', async () => {
    const password = 'é'.repeat(36);
    const body = { username: 'seventy-two', email: '72@example.com', password };
    assert.equal((await auth().call('POST', REGISTER, { body })).status, 201);
    assert.equal((await auth().call('POST', LOGIN, { body })).status, 200);
    assertProblem(await auth().call('POST', LOGIN, { body: { ...body, password: `${password}x` } }), 401, 'INVALID_CREDENTIALS');
  });

  it('bodies that are no JSON, no object, too large or of another type: a 4xx problem', async () => {
    for (const path of [REGISTER, LOGIN]) {
      assertProblem(await auth().call('POST', path, { raw: '{"username": ' }), 400, 'MALFORMED_JSON');
      assertProblem(await auth().call('POST', path, { raw: '"text"' }), 400);
      assertProblem(await auth().call('POST', path), 400, 'INVALID_REQUEST');
      assertProblem(await auth().call('POST', path, { raw: JSON.stringify({ x: 'x'.repeat(5_000_000) }) }), 413, 'PAYLOAD_TOO_LARGE');
      assertProblem(await auth().call('POST', path, { raw: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }), 415);
    }
  });

  it('a name or an email that differs only in case is taken: 409', async () => {
    const { username } = await auth().register();
    const other = { username: 'somebody-else', email: `${username.toUpperCase()}@EXAMPLE.com`, password: PASSWORD };
    assertProblem(
      await auth().call('POST', REGISTER, { body: { ...valid, username: username.toUpperCase(), email: 'new@example.com' } }),
      409,
      'CONFLICT',
    );
    assertProblem(await auth().call('POST', REGISTER, { body: other }), 409, 'CONFLICT');
  });

  it('names outside ASCII are one name in every case and compatibility form', async () => {
    const body = { username: 'ÉLODIE', email: 'elodie@example.com', password: PASSWORD };
    assert.equal((await auth().call('POST', REGISTER, { body })).status, 201);
    assertProblem(await auth().call('POST', REGISTER, { body: { ...body, username: 'e\u0301lodie', email: 'e2@example.com' } }), 409);
    assert.equal((await auth().call('POST', LOGIN, { body: { ...body, username: 'élodie' } })).status, 200);
  });

  it('20 parallel registrations of one name: exactly one 201, the rest 409', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        auth().call('POST', REGISTER, { body: { ...valid, username: index % 2 ? 'Racer' : 'racer', email: `racer${index}@example.com` } }),
      ),
    );
    const statuses = answers.map((answer) => answer.status);
    assert.equal(statuses.filter((status) => status === 201).length, 1, statuses.join());
    assert.equal(statuses.filter((status) => status === 409).length, 19, statuses.join());
  });

  it('login: 200 with a token, by the name in any case', async () => {
    const { userId, username } = await auth().register();
    const { status, body } = await auth().call('POST', LOGIN, { body: { username: username.toUpperCase(), password: PASSWORD } });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body).sort(), ['expiresAt', 'roles', 'token', 'userId', 'username']);
    assert.equal(body.userId, userId);
    assert.equal(Date.parse(body.expiresAt), (decodeJwt(body.token).exp as number) * 1_000);
  });

  it('login with wrong types: 400', async () => {
    for (const body of [{ username: 1, password: PASSWORD }, { username: 'ada' }, { username: 'ada', password: {} }, []]) {
      assertProblem(await auth().call('POST', LOGIN, { body }), 400, 'INVALID_REQUEST');
    }
  });

  it('an unknown user and a wrong password get the same body in about the same time', async () => {
    const { username } = await auth().register();
    const attempt = async (name: string) => {
      const start = performance.now();
      const answer = await auth().call('POST', LOGIN, { body: { username: name, password: 'a wrong password' } });
      assertProblem(answer, 401, 'INVALID_CREDENTIALS');
      const { timestamp: _t, correlationId: _c, ...rest } = answer.body;
      return { took: performance.now() - start, rest };
    };
    await attempt(username); // starts the threads
    const wrong: number[] = [];
    const unknown: number[] = [];
    for (let round = 0; round < 9; round++) {
      const a = await attempt(username);
      const b = await attempt(`nobody-${round}`);
      assert.deepEqual(a.rest, b.rest);
      wrong.push(a.took);
      unknown.push(b.took);
    }
    const ratio = median(wrong) / median(unknown);
    assert.ok(ratio > 0.5 && ratio < 2, `wrong password ${median(wrong)} ms, unknown user ${median(unknown)} ms`);
  });

  it('hashing leaves the event loop free', async () => {
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    await Promise.all(Array.from({ length: 8 }, () => auth().register()));
    clearInterval(timer);
    // On the main thread 16 passwords of 60 ms and more would hold it for a second in sum, each for its whole time or in 100 ms slices.
    assert.ok(longest < 400, `the event loop stood still for ${longest.toFixed()} ms`);
  });

  it('the configured ADMIN exists, with both roles', async () => {
    const { status, body } = await auth().call('POST', LOGIN, { body: ADMIN });
    assert.equal(status, 200);
    assert.deepEqual(body.roles, ['ADMIN', 'USER']);
  });

  it('the OpenAPI document has every route', async () => {
    const { body } = await auth().call('GET', '/openapi.json');
    const routes = Object.entries<object>(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    assert.deepEqual(new Set(routes), new Set(authOperations.map(({ method, path }) => `${method} ${path}`)));
    const { requestBody } = body.paths['/api/v1/auth/register'].post;
    const { properties } = requestBody.content['application/json'].schema;
    assert.deepEqual(Object.keys(properties), ['username', 'email', 'password']);
    assert.equal(properties.username.maxLength, 50);
  });

  it('is ready when the database answers and a key can sign', async () => {
    assert.equal((await auth().call('GET', '/health/ready')).status, 200);
  });
});

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

describe('login throttle', function () {
  this.timeout(30_000);
  const auth = withAuth({ LEAKY_LOGIN_ATTEMPTS: '3', LEAKY_LOGIN_WINDOW_SECONDS: '60' });
  const login = (username: string, password: string) => auth().call('POST', LOGIN, { body: { username, password } });

  it('refuses with 429 and Retry-After after too many failures, the right password too', async () => {
    const { username } = await auth().register();
    for (let guess = 0; guess < 3; guess++) assertProblem(await login(username, `guess number ${guess}`), 401);
    const refused = await login(username, PASSWORD);
    assertProblem(refused, 429, 'LOGIN_THROTTLED');
    const retryAfter = Number(refused.headers.get('retry-after'));
    assert.ok(retryAfter > 0 && retryAfter <= 60, String(retryAfter));
    assertProblem(await login(username.toUpperCase(), PASSWORD), 429);
  });

  it('counts unknown names alike', async () => {
    for (let guess = 0; guess < 3; guess++) assertProblem(await login('nobody-at-all', 'whatever it is'), 401);
    assertProblem(await login('nobody-at-all', 'whatever it is'), 429, 'LOGIN_THROTTLED');
  });

  it('a success resets the count', async () => {
    const { username } = await auth().register();
    for (let round = 0; round < 2; round++) {
      assertProblem(await login(username, 'a wrong password'), 401);
      assertProblem(await login(username, 'a wrong password'), 401);
      assert.equal((await login(username, PASSWORD)).status, 200);
    }
  });

  it('parallel guesses do not get past the limit', async () => {
    const { username } = await auth().register();
    const statuses = (await Promise.all(Array.from({ length: 12 }, () => login(username, 'a wrong password')))).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 401).length, 3, statuses.join());
    assert.equal(statuses.filter((status) => status === 429).length, 9, statuses.join());
  });

  it('parallel good logins of one person all succeed', async () => {
    const { username } = await auth().register();
    const statuses = (await Promise.all(Array.from({ length: 12 }, () => login(username, PASSWORD)))).map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set([200]));
  });
});
