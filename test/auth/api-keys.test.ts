import assert from 'node:assert/strict';
import { decodeJwt } from 'jose';
import { parseApiKey } from '../../domain/api-key.js';
import { assertProblem, within, withAuth } from './support.js';

const KEYS = '/api/v1/auth/api-keys';
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();

describe('API keys', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const validate = async (key: string) => (await auth().call('GET', `${KEYS}/validate`, { key })).status;

  it('create: 201 with the key, which is shown once and stored as a hash', async () => {
    const owner = await auth().register();
    const expiresAt = inSeconds(3600);
    const { status, body } = await auth().call('POST', KEYS, { token: owner.token, body: { userId: owner.userId, name: 'ci', expiresAt } });
    assert.equal(status, 201);
    assert.deepEqual(Object.keys(body).sort(), ['createdAt', 'expiresAt', 'id', 'name', 'rawKey', 'userId']);
    assert.equal(body.expiresAt, expiresAt);
    assert.deepEqual(parseApiKey(body.rawKey), { userId: owner.userId });
    const list = await auth().call('GET', `${KEYS}?userId=${owner.userId}`, { token: owner.token });
    assert.deepEqual(list.body, [{ id: body.id, name: 'ci', orgId: null, createdAt: body.createdAt, expiresAt, lastUsedAt: null }]);
    const { rows } = await auth().pool.query('SELECT k::text AS stored FROM api_keys k WHERE id = $1', [body.id]);
    assert.ok(!rows[0].stored.includes(body.rawKey.slice(-48)));
  });

  it('create: 400 for bad fields, an expiry in the past among them', async () => {
    const { userId, token } = await auth().register();
    const good = { userId, name: 'ci' };
    for (const body of [
      { ...good, expiresAt: inSeconds(-1) },
      { ...good, expiresAt: 'tomorrow' },
      { ...good, expiresAt: 5 },
      { ...good, name: '' },
      { ...good, name: 'x'.repeat(101) },
      { ...good, name: 'a\u0000b' },
      { ...good, userId: 'me' },
      { ...good, orgId: 'mine' },
      { ...good, tier: 'PLATINUM' },
      { name: 'ci' },
      [],
    ]) {
      assertProblem(await auth().call('POST', KEYS, { token, body }), 400, 'INVALID_REQUEST');
    }
    assertProblem(await auth().call('POST', KEYS, { token, raw: '{' }), 400, 'MALFORMED_JSON');
  });

  it('create: 401 without a login, 403 for another user, for a tier and with an API key', async () => {
    const owner = await auth().register();
    const other = await auth().register();
    const body = { userId: owner.userId, name: 'ci' };
    assertProblem(await auth().call('POST', KEYS, { body }), 401, 'UNAUTHENTICATED');
    assertProblem(await auth().call('POST', KEYS, { token: other.token, body }), 403, 'FORBIDDEN');
    assertProblem(await auth().call('POST', KEYS, { token: owner.token, body: { ...body, tier: 'GOLD' } }), 403, 'FORBIDDEN');
    const { rawKey } = await auth().createKey(owner);
    assertProblem(await auth().call('POST', KEYS, { key: rawKey, body }), 403, 'FORBIDDEN');
    assert.equal((await auth().call('GET', `${KEYS}?userId=${owner.userId}`, { key: rawKey })).status, 200);
  });

  it('an ADMIN creates keys for others, with a tier; for nobody: 404', async () => {
    const token = await auth().adminToken();
    const { userId } = await auth().register();
    const { rawKey } = await auth().createKey({ userId, token }, { tier: 'GOLD' });
    const { body } = await auth().call('POST', `${KEYS}/exchange`, { key: rawKey });
    assert.equal(decodeJwt(body.token).tier, 'GOLD');
    assert.equal(decodeJwt(body.token).sub, userId);
    assertProblem(await auth().call('POST', KEYS, { token, body: { userId: UNKNOWN_ID, name: 'x' } }), 404, 'NOT_FOUND');
  });

  it('list: 400 without a user, 403 for another user', async () => {
    const owner = await auth().register();
    const other = await auth().register();
    assertProblem(await auth().call('GET', KEYS, { token: owner.token }), 400);
    assertProblem(await auth().call('GET', `${KEYS}?userId=a&userId=b`, { token: owner.token }), 400);
    assertProblem(await auth().call('GET', `${KEYS}?userId=${owner.userId}`, { token: other.token }), 403);
    assertProblem(await auth().call('GET', `${KEYS}?userId=${owner.userId}`), 401);
  });

  it('delete: 204 once, then 404; never for a key of another user', async () => {
    const owner = await auth().register();
    const other = await auth().register();
    const { id, rawKey } = await auth().createKey(owner);
    const remove = (userId: string, token: string) => auth().call('DELETE', `${KEYS}?userId=${userId}&apiKeyId=${id}`, { token });
    assertProblem(await remove(owner.userId, other.token), 403);
    assertProblem(await remove(other.userId, other.token), 404);
    assert.equal(await validate(rawKey), 200);
    assert.equal((await remove(owner.userId, owner.token)).status, 204);
    assertProblem(await remove(owner.userId, owner.token), 404, 'NOT_FOUND');
    assert.equal(await validate(rawKey), 401);
    assertProblem(await auth().call('DELETE', `${KEYS}?userId=${owner.userId}&apiKeyId=1`, { token: owner.token }), 400);
  });

  it('validate: 200 with the owner; 401 for a missing, mistyped or unknown key', async () => {
    const owner = await auth().register();
    const { rawKey } = await auth().createKey(owner);
    const { status, body } = await auth().call('GET', `${KEYS}/validate`, { key: rawKey });
    assert.equal(status, 200);
    assert.deepEqual(body, { userId: owner.userId, name: 'test', orgId: null, expiresAt: null, roles: ['USER'] });
    assertProblem(await auth().call('GET', `${KEYS}/validate`), 401, 'UNAUTHENTICATED');
    for (const key of ['leaky_', 'x', rawKey.slice(0, -1), `${rawKey}0`]) {
      assertProblem(await auth().call('GET', `${KEYS}/validate`, { key }), 401, 'UNAUTHENTICATED');
    }
  });

  it('an expired key is refused at its instant, also by validate and exchange', async () => {
    const owner = await auth().register();
    const { rawKey } = await auth().createKey(owner, { expiresAt: inSeconds(1) });
    assert.equal(await validate(rawKey), 200);
    await within(2_000, async () => (await validate(rawKey)) === 401);
    assertProblem(await auth().call('POST', `${KEYS}/exchange`, { key: rawKey }), 401);
  });

  it('rotate: the id stays, the old secret ends at once without a grace', async () => {
    const owner = await auth().register();
    const old = await auth().createKey(owner);
    const { status, body } = await auth().call('POST', `${KEYS}/${old.id}/rotate`, { token: owner.token });
    assert.equal(status, 200);
    assert.equal(body.id, old.id);
    assert.notEqual(body.rawKey, old.rawKey);
    assert.equal(await validate(body.rawKey), 200);
    assert.equal(await validate(old.rawKey), 401);
  });

  it('rotate: the old secret works for the grace and not longer; the one before it ends', async () => {
    const owner = await auth().register();
    const first = await auth().createKey(owner);
    const rotate = (graceSeconds: number) =>
      auth().call('POST', `${KEYS}/${first.id}/rotate`, { token: owner.token, body: { graceSeconds } });
    const second = (await rotate(60)).body.rawKey;
    assert.equal(await validate(first.rawKey), 200);
    const third = (await rotate(1)).body.rawKey;
    assert.equal(await validate(first.rawKey), 401);
    assert.equal(await validate(second), 200);
    await within(2_000, async () => (await validate(second)) === 401);
    assert.equal(await validate(third), 200);
  });

  it('rotate: 400 for a bad grace, 404 for someone else’s or no key', async () => {
    const owner = await auth().register();
    const other = await auth().register();
    const { id } = await auth().createKey(owner);
    for (const graceSeconds of [-1, 1.5, '60', 7 * 86_400 + 1]) {
      assertProblem(await auth().call('POST', `${KEYS}/${id}/rotate`, { token: owner.token, body: { graceSeconds } }), 400);
    }
    assertProblem(await auth().call('POST', `${KEYS}/${id}/rotate`, { token: other.token, body: {} }), 404);
    assertProblem(await auth().call('POST', `${KEYS}/${UNKNOWN_ID}/rotate`, { token: owner.token, body: {} }), 404);
    assertProblem(await auth().call('POST', `${KEYS}/1/rotate`, { token: owner.token, body: {} }), 400);
  });

  it('the last use is written down in the background', async () => {
    const owner = await auth().register();
    const { rawKey } = await auth().createKey(owner);
    assert.equal(await validate(rawKey), 200);
    const list = async () => (await auth().call('GET', `${KEYS}?userId=${owner.userId}`, { token: owner.token })).body;
    await within(10_000, async () => (await list())[0].lastUsedAt !== null);
  });
});

describe('API keys switched off (flag apiKeyValidation)', function () {
  this.timeout(30_000);
  const auth = withAuth({ LEAKY_FLAG_API_KEY_VALIDATION: 'false' });

  it('are refused with a problem that says so, also in the bearer position', async () => {
    const owner = await auth().register();
    const { rawKey } = await auth().createKey(owner);
    for (const options of [{ key: rawKey }, { token: rawKey }]) {
      const answer = await auth().call('GET', `${KEYS}?userId=${owner.userId}`, options);
      assertProblem(answer, 401, 'UNAUTHENTICATED');
      assert.match(answer.body.detail, /apiKeyValidation/);
    }
    assertProblem(await auth().call('GET', `${KEYS}/validate`, { key: rawKey }), 401);
  });
});
