import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { SERVICES } from '../http/schemas.js';
import { withSystem } from '../support/system.js';
import { assertProblem, call, ownAddress, sendBytes, splitHost, type Answer } from './http.js';
import { People, type Person } from './people.js';

type Way = 'directly' | 'through the gateway, in its process' | 'through the gateway, over HTTP';
const WAYS: readonly Way[] = ['directly', 'through the gateway, in its process', 'through the gateway, over HTTP'];

interface Shot {
  method: string;
  path: string;
  token?: string;
  raw?: string | Buffer;
  headers?: Record<string, string>;
}

const HEADERS = ['content-type', 'cache-control', 'vary', 'allow', 'www-authenticate', 'retry-after'];
const SERVICE_NAMES = ['auth', 'tokens', 'analytics'] as const;
/** Between services: the gateway has no such route. */
const INTERNAL = '/api/v1/auth/api-keys/exchange';

const filled = (path: string) => path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === 'ownerKind' ? 'users' : randomUUID()));
const routes = SERVICE_NAMES.flatMap((service) => SERVICES[service].map((operation) => ({ service, operation })));

describe('a request', () => {
  const system = withSystem();
  const people = new People(system);
  let ada: Person;
  before(async () => {
    ada = await people.register();
  });

  function ask(way: Way, service: (typeof SERVICE_NAMES)[number], { raw, headers, ...shot }: Shot): Promise<Answer> {
    const base = way === 'directly' ? system()[service] : system().gateway;
    // What the service must inflate itself is sent on by HTTP.
    const hop = way === 'through the gateway, over HTTP' && raw !== undefined;
    const encoded = way === 'through the gateway, over HTTP' ? { 'Content-Encoding': 'gzip' } : {};
    return call(base, shot.method, shot.path, {
      token: shot.token,
      ...(raw !== undefined && { raw: hop ? gzipSync(raw) : raw }),
      headers: { ...encoded, ...headers },
    });
  }

  for (const way of WAYS) {
    it(`with a parameter that its route does not have is 400 and names it, on every route: ${way}`, async () => {
      for (const { service, operation } of routes) {
        if (operation.path === INTERNAL && way !== 'directly') continue;
        const path = `${filled(operation.path)}?cacheBuster=1`;
        const answer = await ask(way, service, { method: operation.method.toUpperCase(), path, token: ada.token });
        assertProblem(answer, 400, 'INVALID_REQUEST');
        assert.deepEqual(
          answer.body.errors.map(({ field }: { field: string }) => field),
          ['cacheBuster'],
          `${operation.method} ${path}`,
        );
      }
    });

    it(`by another method is 405 and names those there are, on every route: ${way}`, async () => {
      for (const { service, operation } of routes) {
        if (operation.path === INTERNAL && way !== 'directly') continue;
        const own = routes.filter((route) => route.operation.path === operation.path).map((route) => route.operation.method.toUpperCase());
        for (const token of [undefined, ada.token]) {
          const answer = await ask(way, service, { method: 'PATCH', path: filled(operation.path), ...(token && { token }) });
          assertProblem(answer, 405, 'METHOD_NOT_ALLOWED');
          for (const method of own) assert.match(answer.headers.allow ?? '', new RegExp(`\\b${method}\\b`), operation.path);
        }
      }
    });
  }

  it('for a page of the service itself keeps the same rules; pages for people take any parameter', async () => {
    for (const base of [system().gateway, system().auth, system().tokens, system().analytics]) {
      for (const path of ['/health/live', '/health/ready', '/metrics', '/openapi.json']) {
        assert.equal((await call(base, 'GET', path)).status, 200, path);
        assertProblem(await call(base, 'GET', `${path}?cacheBuster=1`), 400, 'INVALID_REQUEST');
        const other = await call(base, 'POST', path);
        assertProblem(other, 405, 'METHOD_NOT_ALLOWED');
        assert.equal(other.headers.allow, 'GET, HEAD');
      }
      assert.equal((await call(base, 'GET', '/docs/?utm=1')).status, 200);
      assertProblem(await call(base, 'DELETE', '/docs/'), 405);
    }
    assertProblem(await call(system().gateway, 'GET', '/fallback/auth?x=1'), 400, 'INVALID_REQUEST');
    assertProblem(await call(system().gateway, 'POST', '/fallback/auth'), 405, 'METHOD_NOT_ALLOWED');
  });

  it('is refused in the same words and headers whatever the way', async () => {
    const { token } = ada;
    const id = randomUUID();
    const consume = { method: 'POST', path: '/api/v1/tokens/consume', token };
    const shots: ((typeof SERVICE_NAMES)[number] | Shot)[][] = [
      ['tokens', { method: 'GET', path: `/api/v1/tokens/consume/${id}`, token }],
      ['tokens', { method: 'GET', path: `/api/v1/tokens/consume/${id}` }],
      ['tokens', { method: 'GET', path: '/api/v1/tokens/consume/1', token }],
      ['tokens', { method: 'GET', path: '/api/v1/tokens/quota?userId=1', token }],
      ['tokens', { method: 'GET', path: '/api/v1/tokens/quota?userId=%ff&provider=openai', token }],
      ['tokens', { method: 'GET', path: '/api/v1/tokens/purchase/%ff', token }],
      ['tokens', { method: 'GET', path: '/api/v1/tokens/nothing', token }],
      ['tokens', { method: 'GET', path: '/api/v1/tokens/nothing' }],
      ['auth', { method: 'GET', path: '/api/v1/auth/nothing' }],
      ['auth', { method: 'GET', path: '/api/v1/auth/nothing', token }],
      ['analytics', { method: 'GET', path: '/api/v1/analytics/nothing' }],
      ['analytics', { method: 'DELETE', path: '/api/v1/analytics/usage' }],
      ['analytics', { method: 'GET', path: '/api/v1/analytics/usage?provider=claude', token }],
      ['tokens', { ...consume, raw: '{' }],
      ['tokens', { ...consume, raw: '[]' }],
      ['tokens', { ...consume, raw: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }],
      ['tokens', { ...consume, raw: '{}', headers: { 'Content-Type': 'text/plain' } }],
      ['tokens', { ...consume, raw: JSON.stringify({ userId: id, provider: 'openai', tokens: 1 }) }],
      ['auth', { method: 'POST', path: '/api/v1/auth/login', raw: '{"username":"nobody","password":"x"}' }],
      ['auth', { method: 'POST', path: '/api/v1/auth/register', raw: '{}' }],
    ];
    for (const [service, shot] of shots as [(typeof SERVICE_NAMES)[number], Shot][]) {
      const answers = await Promise.all(WAYS.map((way) => ask(way, service, shot)));
      const shown = answers.map(({ status, headers, body: { timestamp: _t, correlationId: _c, ...body } }) => ({
        status,
        body: body as object,
        headers: Object.fromEntries(
          HEADERS.map((name) => [
            name,
            String(headers[name] ?? '')
              .split(', ')
              .sort(),
          ]),
        ),
      }));
      for (const other of shown.slice(1)) assert.deepEqual(other, shown[0], `${shot.method} ${shot.path}`);
    }
  });

  it('leads to a page about its error, by the link in it', async () => {
    const answers = [
      await call(system().gateway, 'GET', '/api/v1/tokens/purchases'),
      await call(system().tokens, 'GET', '/api/v1/tokens/nothing', { token: ada.token }),
      await call(system().auth, 'POST', '/api/v1/auth/login', { body: {} }),
    ];
    for (const { body } of answers) {
      const page = await fetch(body.type as string);
      assert.equal(page.status, 200, body.type as string);
      assert.match(await page.text(), new RegExp(body.code as string));
    }
  });

  it('of its caller is answered with what nobody keeps', async () => {
    const { body: key } = await call(system().auth, 'POST', '/api/v1/auth/api-keys', {
      token: ada.token,
      body: { userId: ada.userId, name: 'x' },
    });
    for (const way of WAYS) {
      for (const answer of [
        await ask(way, 'tokens', { method: 'GET', path: '/api/v1/tokens/purchases', token: ada.token }),
        await ask(way, 'auth', { method: 'POST', path: `/api/v1/auth/api-keys/${key.id}/rotate`, token: ada.token }),
        await ask(way, 'auth', { method: 'POST', path: '/api/v1/auth/login', raw: JSON.stringify(system().admin) }),
        await ask(way, 'auth', { method: 'GET', path: '/api/v1/auth/api-keys/validate', headers: { 'X-Api-Key': key.rawKey } }),
      ]) {
        assert.equal(answer.headers['cache-control'], 'no-store', way);
        assert.match(answer.headers.vary ?? '', /Authorization, X-Api-Key/, way);
      }
      const jwks = await ask(way, 'auth', { method: 'GET', path: '/oauth2/jwks' });
      assert.match(jwks.headers['cache-control'] ?? '', /^public, max-age=/);
      assert.doesNotMatch(jwks.headers.vary ?? '', /Authorization/);
    }
  });

  it('from a page of another origin shows it every header that is of use', async () => {
    const origin = { Origin: 'https://console.example' };
    const unused =
      /^(?:access-control-|content-|cross-origin-|strict-|referrer-|x-content-|x-frame-|date$|vary$|cache-control$|connection$|keep-alive$)/;
    const body = { userId: ada.userId, provider: 'openai', tokens: 5_000 };
    const purchase = await call(system().gateway, 'POST', '/api/v1/tokens/purchase', { token: ada.token, body, headers: origin });
    assert.ok(purchase.headers.location, 'it has a header of use');
    for (const { headers } of [
      purchase,
      await call(system().gateway, 'GET', '/oauth2/jwks', { headers: origin }),
      await call(system().gateway, 'PATCH', '/oauth2/jwks', { headers: origin }),
      await call(system().gateway, 'GET', '/api/v1/tokens/purchases', { headers: origin }),
      await call(system().gateway, 'GET', '/fallback/auth', { headers: origin }),
    ]) {
      const exposed = String(headers['access-control-expose-headers']).toLowerCase().split(',');
      for (const header of Object.keys(headers)) assert.ok(unused.test(header) || exposed.includes(header), `${header} is not exposed`);
    }
  });

  it('with two Host headers, none, or one that is no host is 400', async () => {
    for (const base of [system().gateway, system().auth, system().tokens, system().analytics]) {
      const { host } = new URL(base);
      const head = 'GET /health/live HTTP/1.1\r\n';
      for (const hosts of [
        `Host: ${host}\r\nHost: ${host}\r\n`,
        `Host: ${host}\r\nhost: evil.example\r\n`,
        '',
        'Host: a b\r\n',
        'Host: a/b\r\n',
      ]) {
        assert.match(await sendBytes(base, `${head}${hosts}Connection: close\r\n\r\n`), /^HTTP\/1\.1 400 .*problem\+json/s, hosts);
      }
      assert.match(await sendBytes(base, `${head}Host: ${host}\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
    }
  });

  it('without credentials is refused before its body is read, and its connection ends', async () => {
    for (const [base, path] of [
      [system().tokens, '/api/v1/tokens/consume'],
      [system().auth, '/api/v1/auth/orgs'],
      [system().gateway, '/api/v1/tokens/consume'],
    ] as const) {
      const { answer, sent, closed } = await flood(base, path);
      assert.match(answer, /^HTTP\/1\.1 401 .*UNAUTHENTICATED/s, path);
      assert.ok(closed, 'the connection has ended');
      assert.ok(sent < 500 * 1_048_576, 'it did not take all of it');
    }
  });
});

/** Sends a body that does not end, as fast as it is taken, until the connection ends. */
function flood(base: string, path: string): Promise<{ answer: string; sent: number; closed: boolean }> {
  const { host, port } = splitHost(base);
  const chunk = Buffer.alloc(1_048_576, ' ');
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, host, () => {
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nX-Forwarded-For: ${ownAddress()}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${10_000 * chunk.length}\r\n\r\n`,
      );
      const more = () => {
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.on('drain', more);
      more();
    });
    const done = (closed: boolean) => {
      resolve({ answer, sent: socket.bytesWritten, closed });
      socket.destroy();
    };
    socket.setTimeout(10_000, () => done(false));
    socket.on('data', (data: Buffer) => (answer += data.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => done(true));
  });
}
