import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { createAccounts } from '../../adapters/postgres/accounts.js';
import { usernameKey, usernameSkeleton } from '../../domain/accounts/username.js';
import { registry } from '../../telemetry/metrics.js';
import { PASSWORD, assertProblem, withAuth } from './support.js';

const REGISTER = '/api/v1/auth/register';
const LOGIN = '/api/v1/auth/login';
const mail = () => `${randomBytes(6).toString('hex')}@example.com`;

describe('usernames', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const register = (username: string) => auth().call('POST', REGISTER, { body: { username, email: mail(), password: PASSWORD } });

  for (const [what, name] of Object.entries({
    'U+200B': 'ad\u200bmin',
    'U+3164': 'ad\u3164min',
    'U+3164 alone': '\u3164\u3164\u3164',
    'U+034F': 'ad\u034fmin',
    'U+FE0F': 'admin\ufe0f',
    'U+E0061, a tag': 'admin\u{e0061}',
    'a Cyrillic а among Latin letters': '\u0430dmin',
    'a Greek ο among Latin letters': 'r\u03bfot',
    'an Armenian letter among Latin ones': 'a\u0564min',
    'marks alone': '\u0301\u0301\u0301',
    'a pile of accents': 'adm\u0323\u0324\u0325\u0326\u0327\u0328in',
    'dots alone': '...',
    'two spaces in a row': 'ada  lovelace',
  })) {
    it(`are refused with what cannot be told apart or seen: ${what}`, async () => {
      const refused = await register(name);
      assertProblem(refused, 400, 'INVALID_REQUEST');
      assert.equal(refused.body.errors[0].field, 'username');
    });
  }

  for (const name of [
    'Élodie',
    'Владимир',
    '山田たろう',
    'Ада Лавлейс',
    'müller-42',
    '김철수',
    'אבגד',
    'สมชาย',
    'lady.ada+tag',
    'राम कुमार',
    'ali山田',
  ]) {
    it(`of people are accepted: ${name}`, async () => {
      assert.equal((await register(name)).status, 201);
      assertProblem(await register(name), 409, 'CONFLICT');
    });
  }

  it('look like no other account’s, in whatever script and case', async () => {
    assert.equal((await register('paypal')).status, 201);
    assert.equal((await register('ace-scope')).status, 201);
    for (const alike of ['paypaI', 'PaypaI', 'paypa1', '\u0430\u0441\u0435-\u0455\u0441\u043e\u0440\u0435']) {
      assertProblem(await register(alike), 409, 'CONFLICT');
    }
    const answers = await Promise.all(['tulip', 'tu1ip', 'tuIip', 'tulip'].map(register));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409]);
  });

  it('of before keep logging in, and nobody new looks like them', async () => {
    const { pool } = auth();
    const hash = bcrypt.hashSync(PASSWORD, 4);
    const old = ['\u0430lice', 'bo\u034fb-1', 'carol-1', 'caro1-1'];
    for (const name of old) {
      await pool.query(`INSERT INTO users (id, username, username_key, password_hash) VALUES (gen_random_uuid(), $1, $2, $3)`, [
        name,
        usernameKey(name),
        hash,
      ]);
    }
    await createAccounts(pool).users.fillSkeletons(usernameSkeleton);
    for (const username of old)
      assert.equal((await auth().call('POST', LOGIN, { body: { username, password: PASSWORD } })).status, 200, username);
    for (const alike of ['alice', 'bob-l', 'carol-l']) assertProblem(await register(alike), 409, 'CONFLICT');
    const { rows } = await pool.query('SELECT count(*) AS none FROM users WHERE username_skeleton IS NULL');
    assert.equal(rows[0].none, 1, 'of two that look alike already, one has the skeleton');
  });

  it('have a skeleton that is the same again, and costs little', () => {
    for (const name of ['m', 'rn', 'ﬁ', 'ADMIN', 'Владимир', 'e\u0301']) {
      assert.equal(usernameSkeleton(usernameSkeleton(name)), usernameSkeleton(name), name);
    }
    const startedAt = performance.now();
    for (let round = 0; round < 1_000; round++) usernameSkeleton('а'.repeat(50));
    assert.ok(performance.now() - startedAt < 1_000);
  });
});

describe('passwords', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const login = (username: string, password: string) => auth().call('POST', LOGIN, { body: { username, password } });

  it('are the same however a keyboard composes them', async () => {
    const username = `nfkc-${randomBytes(4).toString('hex')}`;
    const body = { username, email: mail(), password: 'cafe\u0301 \uff11\uff12\uff13' };
    assert.equal((await auth().call('POST', REGISTER, { body })).status, 201);
    for (const same of ['café 123', 'cafe\u0301 123', body.password]) assert.equal((await login(username, same)).status, 200, same);
    assertProblem(await login(username, 'cafe 123'), 401);
  });

  it('of before, hashed as they were sent, are tried so and hashed anew', async () => {
    const { userId, username } = await auth().register();
    const sent = 'cafe\u0301 corre\u0301ct';
    await auth().pool.query('UPDATE users SET password_hash = $2 WHERE id = $1', [userId, bcrypt.hashSync(sent, 4)]);
    assertProblem(await login(username, sent.normalize('NFC')), 401);
    assert.equal((await login(username, sent)).status, 200);
    assert.equal((await login(username, sent.normalize('NFC'))).status, 200, 'hashed anew');
  });

  it('have no NUL, and their bounds before and after they are normalised', async () => {
    const body = { username: `nul-${randomBytes(4).toString('hex')}`, email: mail() };
    const { username } = await auth().register();
    for (const password of [
      '12345678\0',
      `${PASSWORD}\0tail`,
      '\ufdfa'.repeat(8),
      'a'.repeat(73),
      '\u0301'.repeat(10_000),
      '\ud800 lonely!',
    ]) {
      assertProblem(await auth().call('POST', REGISTER, { body: { ...body, password } }), 400);
    }
    assertProblem(await login(username, `${PASSWORD}\0`), 400);
    assertProblem(await login(username, 'a'.repeat(1_001)), 400);
    assertProblem(await login(username, '\ufdfa'.repeat(1_000)), 401);
  });
});

describe('login throttle by network', function () {
  this.timeout(30_000);
  const auth = withAuth({
    LEAKY_LOGIN_ATTEMPTS: '3',
    LEAKY_LOGIN_ACCOUNT_ATTEMPTS: '6',
    LEAKY_LOGIN_WINDOW_SECONDS: '60',
    LEAKY_TRUSTED_GATEWAYS: 'loopback',
  });
  const login = (username: string, password: string, from: string) =>
    auth().call('POST', LOGIN, { body: { username, password }, headers: { 'X-Forwarded-For': from } });

  it('counts an IPv6 /64 as one address, and an IPv4 address in IPv6 as itself', async () => {
    const { username } = await auth().register();
    for (const from of ['2001:db8:1:2::1', '2001:db8:1:2::2:3', '2001:db8:1:2:ffff:ffff:ffff:ffff']) {
      assertProblem(await login(username, 'wrong wrong', from), 401);
    }
    assertProblem(await login(username, PASSWORD, '2001:db8:1:2::99'), 429, 'LOGIN_THROTTLED');
    for (const from of ['203.0.113.9', '::ffff:203.0.113.9', '::ffff:203.0.113.9'])
      assertProblem(await login(username, 'wrong wrong', from), 401);
    assertProblem(await login(username, PASSWORD, '203.0.113.9'), 429, 'LOGIN_THROTTLED');
  });

  it('brakes guesses from many networks, and lets the owner in from where it registered', async () => {
    const { username } = await auth().register();
    const statuses: number[] = [];
    for (let n = 0; n < 10; n++) statuses.push((await login(username, 'wrong wrong', `2001:db8:${n + 10}::1`)).status);
    assert.deepEqual(statuses, [401, 401, 401, 401, 401, 401, 429, 429, 429, 429]);
    assertProblem(await login(username, PASSWORD, '2001:db8:99::1'), 429, 'LOGIN_THROTTLED');
    assert.equal((await auth().call('POST', LOGIN, { body: { username, password: PASSWORD } })).status, 200);
  });

  it('counts what failed', async () => {
    const failures = async () =>
      (await registry.getSingleMetric('leaky_login_failures_total')?.get())?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
    const before = await failures();
    assertProblem(await login('nobody-here', 'wrong wrong', '192.0.2.77'), 401);
    assert.equal((await failures()) - before, 1);
  });
});
