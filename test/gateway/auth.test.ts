import assert from 'node:assert/strict';
import { createAuthenticator, type Authenticator } from '../../api/http/authenticate.js';
import { call, log, withAuth } from '../auth/support.js';
import { startTestGateway, until, type TestGateway } from './support.js';

describe('gateway with the auth service', function () {
  this.timeout(60_000);
  const auth = withAuth();
  let gateway: TestGateway;
  let authenticator: Authenticator;
  before(async () => {
    const { config, revocations, url } = auth();
    authenticator = createAuthenticator({ config, log, revocations });
    gateway = await startTestGateway({ authenticator, env: { LEAKY_AUTH_URL: url } });
  });
  after(async () => {
    await gateway.close();
    authenticator.close();
  });

  const through = (method: string, path: string, options: Parameters<typeof call>[3] = {}) => call(gateway.url, method, path, options);
  const lastSeen = () => gateway.tokens.seen.at(-1)?.headers ?? {};

  it('registers, logs in and makes a key through the gateway; the services see only tokens', async () => {
    const username = 'gateway-user';
    const password = 'a good long password';
    const registered = await through('POST', '/api/v1/auth/register', { body: { username, password, email: 'gateway@example.org' } });
    assert.equal(registered.status, 201, JSON.stringify(registered.body));
    const { body: login } = await through('POST', '/api/v1/auth/login', { body: { username, password } });
    assert.equal((await through('GET', '/api/v1/tokens/quota', { token: login.token })).status, 200);
    assert.equal(lastSeen().authorization, `Bearer ${login.token}`);

    const created = await through('POST', '/api/v1/auth/api-keys', { token: login.token, body: { userId: login.userId, name: 'one' } });
    assert.equal(created.status, 201, JSON.stringify(created.body));
    const key: string = created.body.rawKey;
    for (const options of [{ key }, { token: key }]) {
      assert.equal((await through('GET', '/api/v1/tokens/quota', options)).status, 200);
      const sent = lastSeen().authorization ?? '';
      assert.match(sent, /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
      assert.equal(lastSeen()['x-api-key'], undefined);
    }
    const validated = await through('GET', '/api/v1/auth/api-keys/validate', { key });
    assert.equal(validated.body.userId, login.userId);
    const listed = await through('GET', `/api/v1/auth/api-keys?userId=${login.userId}`, { key });
    assert.notEqual(listed.status, 401, 'the auth service accepts the internal token');
  });

  it('refuses a revoked key within a second', async () => {
    const user = await auth().register();
    const { id, rawKey } = await auth().createKey(user);
    assert.equal((await through('GET', '/api/v1/tokens/quota', { key: rawKey })).status, 200);
    const deleted = await through('DELETE', `/api/v1/auth/api-keys?userId=${user.userId}&apiKeyId=${id}`, { token: user.token });
    assert.equal(deleted.status, 204);
    const began = Date.now();
    await until(async () => (await through('GET', '/api/v1/tokens/quota', { key: rawKey })).status === 401);
    assert.ok(Date.now() - began < 1_000);
  });

  it('refuses forged and mangled credentials', async () => {
    const user = await auth().register();
    const { rawKey } = await auth().createKey(user);
    const [head, claims] = user.token.split('.');
    for (const options of [
      { token: `${head}.${claims}.AAAA` },
      { token: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.` },
      { token: 'nonsense' },
      { key: rawKey.slice(0, -1) },
      { key: 'leaky_' },
      { headers: { authorization: 'Basic YTpi' } },
    ]) {
      const answer = await through('GET', '/api/v1/tokens/quota', options);
      assert.equal(answer.status, 401);
      assert.equal(answer.body.code, 'UNAUTHENTICATED');
    }
  });
});
