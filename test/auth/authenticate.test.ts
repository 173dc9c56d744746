import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMemoryKeyRevocations } from '../../adapters/memory/key-revocations.js';
import { LISTENER_NAME, createPostgresKeyRevocations, type PostgresKeyRevocations } from '../../adapters/postgres/key-revocations.js';
import { API_KEY_RANDOM_BYTES, formatApiKey } from '../../domain/api-key.js';
import { startEcho, withEcho, type EchoService } from './echo-service.js';
import { assertProblem, call, log, pointingAt, withAuth, within } from './support.js';

const KEYS = '/api/v1/auth/api-keys';

/** Stands between a service and the auth service; counts what passes and can cut the line. */
async function startLine(target: string): Promise<{ url: string; calls: Map<string, number>; cut(): void; mend(): void; close(): void }> {
  const calls = new Map<string, number>();
  let isCut = false;
  const server: Server = createServer((req, res) => {
    if (isCut) return void req.socket.destroy();
    const path = req.url ?? '';
    calls.set(path, (calls.get(path) ?? 0) + 1);
    const forwarded = request(target + path, { method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(res);
    });
    forwarded.on('error', () => res.destroy());
    req.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    cut: () => (isCut = true),
    mend: () => (isCut = false),
    close: () => void (server.close(), server.closeAllConnections()),
  };
}

describe('a service that authenticates API keys', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const echo = withEcho(auth);
  const whoami = (key: string, at: { url: string } = echo()) => call(at.url, 'GET', '/whoami', { key });

  it('knows the holder, by X-Api-Key and by bearer alike', async () => {
    const owner = await auth().register();
    const { id, rawKey } = await auth().createKey(owner);
    const byHeader = await whoami(rawKey);
    const byBearer = await call(echo().url, 'GET', '/whoami', { token: rawKey });
    assert.equal(byHeader.status, 200);
    assert.deepEqual(byHeader.body, byBearer.body);
    assert.equal(byHeader.body.userId, owner.userId);
    assert.equal(byHeader.body.apiKeyId, id);
    assert.equal(byHeader.body.keyTier, null);
  });

  it('gets a JWT to send on, which other services accept as the same caller', async () => {
    const owner = await auth().register();
    const { rawKey } = await auth().createKey(owner);
    const { body } = await call(echo().url, 'GET', '/forward', { key: rawKey });
    const next = await call(echo().url, 'GET', '/whoami', { token: body.internalJwt });
    assert.deepEqual(next.body, body.caller);
    const login = await call(echo().url, 'GET', '/forward', { token: owner.token });
    assert.equal(login.body.internalJwt, owner.token);
  });

  it('asks once for a key, however many callers come at once, and never for a mistyped one', async () => {
    const line = await startLine(auth().url);
    const other = await startEcho({ config: pointingAt(auth().config, line.url), revocations: auth().revocations });
    const asked = () => line.calls.get(`${KEYS}/exchange`) ?? 0;
    try {
      const owner = await auth().register();
      const { rawKey } = await auth().createKey(owner);
      const answers = await Promise.all(Array.from({ length: 30 }, () => whoami(rawKey, other)));
      assert.ok(answers.every(({ status }) => status === 200));
      assert.equal(asked(), 1);
      assertProblem(await whoami(`${rawKey.slice(0, -1)}x`, other), 401, 'UNAUTHENTICATED');
      assertProblem(await whoami('leaky_', other), 401, 'UNAUTHENTICATED');
      assert.equal(asked(), 1);
      const unknown = formatApiKey(owner.userId, randomBytes(API_KEY_RANDOM_BYTES));
      for (let round = 0; round < 5; round++) assertProblem(await whoami(unknown, other), 401, 'UNAUTHENTICATED');
      assert.equal(asked(), 2);
      assert.ok((line.calls.get('/oauth2/jwks') ?? 0) <= 1);
    } finally {
      await other.close();
      line.close();
    }
  });

  it('answers 503, not 401, while auth is away; what it knew goes on working', async () => {
    const line = await startLine(auth().url);
    const other = await startEcho({ config: pointingAt(auth().config, line.url), revocations: auth().revocations });
    try {
      const owner = await auth().register();
      const [known, unknown] = [await auth().createKey(owner), await auth().createKey(owner)];
      line.cut();
      const refused = await call(other.url, 'GET', '/whoami', { token: owner.token });
      assertProblem(refused, 503, 'SERVICE_UNAVAILABLE');
      assert.ok(refused.headers.get('retry-after'));
      line.mend();
      assert.equal((await whoami(known.rawKey, other)).status, 200);
      line.cut();
      assertProblem(await whoami(unknown.rawKey, other), 503, 'SERVICE_UNAVAILABLE');
      assert.equal((await whoami(known.rawKey, other)).status, 200);
      assert.equal((await call(other.url, 'GET', '/whoami', { token: owner.token })).status, 200);
      line.mend();
      assert.equal((await whoami(unknown.rawKey, other)).status, 200);
    } finally {
      await other.close();
      line.close();
    }
  });

  it('refuses a key from its expiry on, although it is remembered', async () => {
    const owner = await auth().register();
    const end = Date.now() + 1_500;
    const { rawKey } = await auth().createKey(owner, { expiresAt: new Date(end).toISOString() });
    assert.equal((await whoami(rawKey)).status, 200);
    await within(10_000, async () => {
      const asked = Date.now();
      const { status } = await whoami(rawKey);
      assert.ok(status === 401 || asked < end, `accepted ${asked - end} ms after its expiry`);
      return status === 401;
    });
    assert.ok(Date.now() >= end, 'refused before its expiry');
  });

  for (const what of ['delete', 'rotate'] as const) {
    it(`${what}: the secret and the tokens made from it stop working within a second`, async () => {
      const owner = await auth().register();
      const { id, rawKey } = await auth().createKey(owner);
      const { body } = await call(echo().url, 'GET', '/forward', { key: rawKey });
      assert.equal((await auth().call('GET', '/api/v1/auth/orgs', { token: body.internalJwt })).status, 200);
      if (what === 'delete') await auth().call('DELETE', `${KEYS}?userId=${owner.userId}&apiKeyId=${id}`, { token: owner.token });
      else await auth().call('POST', `${KEYS}/${id}/rotate`, { token: owner.token });
      await within(1_000, async () => (await whoami(rawKey)).status === 401);
      assertProblem(await call(echo().url, 'GET', '/whoami', { token: body.internalJwt }), 401);
      assertProblem(await auth().call('GET', '/api/v1/auth/orgs', { token: body.internalJwt }), 401);
    });
  }

  it('rotate with a grace: both secrets work, the old one until the grace ends', async () => {
    const owner = await auth().register();
    const { id, rawKey } = await auth().createKey(owner);
    assert.equal((await whoami(rawKey)).status, 200);
    const { body } = await auth().call('POST', `${KEYS}/${id}/rotate`, { token: owner.token, body: { graceSeconds: 1 } });
    assert.equal((await whoami(rawKey)).status, 200);
    assert.equal((await whoami(body.rawKey)).body.apiKeyId, id);
    await within(2_000, async () => (await whoami(rawKey)).status === 401);
    assert.equal((await whoami(body.rawKey)).status, 200);
  });
});

describe('revocations between processes (LISTEN/NOTIFY)', function () {
  this.timeout(30_000);
  const auth = withAuth();
  describe('in a service with a listener of its own', () => {
    let revocations: PostgresKeyRevocations;
    let echo: EchoService;
    const whoami = (key: string) => call(echo.url, 'GET', '/whoami', { key });
    const remove = (owner: { userId: string; token: string }, id: string) =>
      auth().call('DELETE', `${KEYS}?userId=${owner.userId}&apiKeyId=${id}`, { token: owner.token });

    before(async () => {
      revocations = await createPostgresKeyRevocations(auth().databaseUrl, log);
      echo = await startEcho({ config: auth().config, revocations });
    });
    after(async () => {
      await echo.close();
      await revocations.close();
    });

    it('a deleted key stops working in another process within a second', async () => {
      const owner = await auth().register();
      const { id, rawKey } = await auth().createKey(owner);
      assert.equal((await whoami(rawKey)).status, 200);
      assert.equal((await remove(owner, id)).status, 204);
      await within(1_000, async () => (await whoami(rawKey)).status === 401);
    });

    it('a key deleted while the listener is cut off stops working all the same, and listening resumes', async () => {
      const owner = await auth().register();
      const [a, b] = [await auth().createKey(owner), await auth().createKey(owner)];
      assert.equal((await whoami(a.rawKey)).status, 200);
      const forwarded = (await call(echo.url, 'GET', '/forward', { key: b.rawKey })).body.internalJwt;
      await auth().pool.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [LISTENER_NAME]);
      await within(1_000, async () => !revocations.live);
      assert.equal((await remove(owner, a.id)).status, 204);
      assert.equal((await remove(owner, b.id)).status, 204);
      await within(1_000, async () => (await whoami(a.rawKey)).status === 401);
      await within(3_000, async () => revocations.live);
      assertProblem(await call(echo.url, 'GET', '/whoami', { token: forwarded }), 401);
      const c = await auth().createKey(owner);
      assert.equal((await whoami(c.rawKey)).status, 200);
      await remove(owner, c.id);
      await within(1_000, async () => (await whoami(c.rawKey)).status === 401);
    });

    it('a process that starts after a revocation refuses the tokens made before it', async () => {
      const owner = await auth().register();
      const { id, rawKey } = await auth().createKey(owner);
      const forwarded = (await call(echo.url, 'GET', '/forward', { key: rawKey })).body.internalJwt;
      await remove(owner, id);
      const late = await createPostgresKeyRevocations(auth().databaseUrl, log);
      const service = await startEcho({ config: auth().config, revocations: late });
      try {
        assertProblem(await call(service.url, 'GET', '/whoami', { token: forwarded }), 401);
      } finally {
        await service.close();
        await late.close();
      }
    });
  });
});

describe('revocations in one process', function () {
  this.timeout(30_000);
  it('arrive before publish returns, at every subscriber until it leaves', async () => {
    const revocations = createMemoryKeyRevocations();
    const seen: string[] = [];
    const leave = revocations.subscribe({ ended: ({ secretHash }) => seen.push(secretHash), interrupted: () => undefined });
    await revocations.publish([{ secretHash: 'a', validUntil: 0 }]);
    assert.deepEqual(seen, ['a']);
    leave();
    await revocations.publish([{ secretHash: 'b', validUntil: 0 }]);
    assert.deepEqual(seen, ['a']);
  });
});
