import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { withSystem } from '../support/system.js';
import { Contract, WAYS, type Way } from './contract.js';
import { assertClientError, assertProblem, call, ownAddress, sendBytes, type Answer } from './http.js';
import { People, type Person } from './people.js';

const MB = 1_048_576;
const CONSUME = '/api/v1/tokens/consume';
const POSTS = [
  '/api/v1/auth/register',
  '/api/v1/auth/login',
  '/api/v1/auth/api-keys',
  '/api/v1/auth/orgs',
  CONSUME,
  '/api/v1/tokens/purchase',
] as const;

describe('bad input is answered with a 4xx problem, never with a 5xx', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let ada: Person;
  let sagaId: string;
  before(async () => {
    ada = await people.register();
    sagaId = (await people.buy(ada, 1_000))['id'] as string;
  });

  const post = (way: Way, path: string, raw: string | Buffer, headers: Record<string, string> = {}) =>
    call(contract.baseOf(way, path), 'POST', path, { token: ada.token, raw, headers });
  const good = () => ({ userId: ada.userId, provider: 'openai', tokens: 1 });

  for (const way of WAYS) {
    describe(way, () => {
      for (const [what, text] of Object.entries({
        'malformed JSON': '{"userId": ',
        'a bare word': 'hello',
        'a trailing comma': '{"userId":"a",}',
        'a NUL byte': '{"userId":"a\0"}',
        'an unfinished escape': '{"userId":"\\u12',
        'a byte that is no UTF-8': Buffer.from([0x7b, 0x22, 0x61, 0xff, 0x22, 0x7d]),
        'only white space': '   ',
      })) {
        it(`${what} is 400`, async () => {
          for (const path of POSTS) assertProblem(await post(way, path, text), 400);
        });
      }

      for (const [what, text] of Object.entries({
        null: 'null',
        'an array': '[]',
        'a string': '"userId"',
        'a number': '5',
        true: 'true',
        'an empty object': '{}',
        'a nested array': `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
        'deep nesting in a member': `{"userId":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
        'a million members': `{${Array.from({ length: 50_000 }, (_, n) => `"m${n}":1`).join(',')}}`,
      })) {
        it(`a body that is ${what} is 400`, async () => {
          for (const path of POSTS) assertProblem(await post(way, path, text), 400);
        });
      }

      it('no body at all is 400', async () => {
        for (const path of POSTS) {
          assertProblem(await call(contract.baseOf(way, path), 'POST', path, { token: ada.token }), 400);
          assertProblem(
            await call(contract.baseOf(way, path), 'POST', path, {
              token: ada.token,
              headers: { 'Content-Length': '0', 'Content-Type': 'application/json' },
            }),
            400,
          );
        }
      });

      it('numbers out of range are 400: 1e400, -0.5, NaN, huge, text, booleans, arrays', async () => {
        for (const tokens of [
          '1e400',
          '-1e400',
          '-1',
          '0',
          '-0',
          '1.0000000001',
          '9007199254740993',
          '1e21',
          '"1"',
          'true',
          '[1]',
          '{}',
          'null',
          '""',
        ]) {
          for (const path of [CONSUME, '/api/v1/tokens/purchase']) {
            const text = `{"userId":"${ada.userId}","provider":"openai","tokens":${tokens}}`;
            assertProblem(await post(way, path, text), 400);
          }
        }
      });

      it('NUL, lone surrogates and controls in text never reach a store that chokes on them', async () => {
        for (const bad of ['\\u0000', '\\ud800', 'a\\udc00b', '\\u0007', '\\uffff', '\u202e']) {
          const answers: Answer[] = [];
          for (const member of ['prompt', 'model', 'tag', 'provider', 'orgId']) {
            answers.push(await post(way, CONSUME, `{"userId":"${ada.userId}","provider":"openai","tokens":1,"${member}":"${bad}"}`));
          }
          answers.push(
            await post(way, '/api/v1/auth/register', `{"username":"abc${bad}","email":"a${bad}@example.com","password":"12345678"}`),
          );
          answers.push(await post(way, '/api/v1/auth/login', `{"username":"abc${bad}","password":"1234${bad}"}`));
          answers.push(await post(way, '/api/v1/auth/orgs', `{"name":"abc${bad}"}`));
          answers.push(await post(way, '/api/v1/auth/api-keys', `{"userId":"${ada.userId}","name":"${bad}"}`));
          answers.push(
            await post(
              way,
              '/api/v1/tokens/purchase',
              `{"userId":"${ada.userId}","provider":"openai","tokens":1,"paymentMethod":"${bad}"}`,
            ),
          );
          for (const answer of answers) {
            assert.ok(answer.status < 500, `${bad}: ${answer.status} ${answer.text}`);
            if (answer.status >= 400) assertClientError(answer);
          }
        }
      });

      it('keys that would pollute prototypes do nothing', async () => {
        const text = `{"__proto__":{"roles":["ADMIN"],"tokens":1},"constructor":{"prototype":{"admin":true}},"userId":"${ada.userId}","provider":"openai"}`;
        assertProblem(await post(way, CONSUME, text), 400);
        const fine = await post(way, CONSUME, text.replace(/}$/, ',"tokens":1}'));
        assert.equal(fine.status, 200, fine.text);
        const forbidden = await call(system().tokens, 'POST', '/api/v1/tokens/quota/org', {
          token: ada.token,
          raw: `{"__proto__":{"roles":["ADMIN"]},"orgId":"${randomUUID()}","provider":"openai","totalTokens":1}`,
        });
        assertProblem(forbidden, 403);
      });

      it('unknown members of bodies are ignored, everywhere', async () => {
        const extra = { unknown: 1, roles: ['ADMIN'], admin: true };
        assert.equal((await contract.ask(way, 'POST', CONSUME, { token: ada.token, body: { ...good(), ...extra } })).status, 200);
        assert.equal(
          (await contract.ask(way, 'POST', '/api/v1/tokens/purchase', { token: ada.token, body: { ...good(), ...extra } })).status,
          202,
        );
        assert.equal(
          (await contract.ask(way, 'POST', '/api/v1/auth/orgs', { token: ada.token, body: { name: 'x', ...extra } })).status,
          201,
        );
      });

      it('a query parameter that is sent twice is 400', async () => {
        const other = randomUUID();
        for (const path of [
          `/api/v1/tokens/quota?userId=${ada.userId}&userId=${other}&provider=openai`,
          `/api/v1/tokens/quota?userId=${ada.userId}&provider=openai&provider=qwen`,
          `/api/v1/auth/api-keys?userId=${ada.userId}&userId=${ada.userId}`,
          `/api/v1/analytics/usage?provider=openai&provider=openai`,
          `/api/v1/analytics/report?provider=openai&limit=1&limit=2`,
          `/api/v1/tokens/quota?userId[]=${ada.userId}&provider=openai`,
          `/api/v1/tokens/quota?userId[$ne]=x&provider=openai`,
          '/api/v1/analytics/usage?provider=%00',
          '/api/v1/analytics/usage?provider=%ff',
          '/api/v1/analytics/usage?provider=%zz',
          '/api/v1/analytics/usage?provider=openai&limit=1e400',
          '/api/v1/analytics/usage?provider=openai&limit=%00',
        ]) {
          assertProblem(await call(contract.baseOf(way, path), 'GET', path, { token: ada.token }), 400);
        }
      });

      it('bad percent-encoding, odd and very long paths are 4xx', async () => {
        for (const path of [
          '/api/v1/tokens/purchase/%',
          '/api/v1/tokens/purchase/%zz',
          '/api/v1/tokens/purchase/%c0%80',
          '/api/v1/tokens/purchase/%ff',
          '/api/v1/tokens/purchase/%00',
          '/api/v1/tokens/purchase/..%2f..%2fetc',
          '/api/v1/tokens/../auth/orgs',
          '/api/v1//tokens/quota',
          '/api/v1/tokens/purchase/' + 'a'.repeat(8_000),
          '/api/v1/tokens/consume/' + "1'%20OR%20'1'='1",
          `/api/v1/tokens/purchase/${sagaId}%20`,
          `/api/v1/tokens/purchase/${sagaId};x`,
          '/api/v1/tokens/nothing',
          '/nothing',
          '//',
          '/%2e%2e/',
          '/api/v1/tokens/constructor',
          '/fallback/__proto__',
        ]) {
          const base = contract.baseOf(way, path.startsWith('/api') ? path : '/api/v1/tokens');
          assertClientError(await call(base, 'GET', path, { token: ada.token }));
        }
      });

      it('unknown ids are 404 and ids of another form 400', async () => {
        for (const path of ['/api/v1/tokens/purchase/', '/api/v1/tokens/consume/']) {
          const base = contract.baseOf(way, path);
          assertProblem(await call(base, 'GET', path + randomUUID(), { token: ada.token }), 404);
          for (const id of ['0', '-1', 'null', 'undefined', '1e400', sagaId.slice(1), `${sagaId}0`]) {
            assertProblem(await call(base, 'GET', path + id, { token: ada.token }), 400);
          }
        }
      });

      it('an ADMIN may act for anyone who exists: unknown owners are 404', async () => {
        const { token } = await people.admin();
        const id = randomUUID();
        const provider = 'openai';
        for (const [method, path, body] of [
          ['POST', '/api/v1/tokens/quota/org', { orgId: id, provider, totalTokens: 10 }],
          ['PUT', `/api/v1/tokens/tiers/users/${id}`, { tier: 'FREE' }],
          ['PUT', `/api/v1/tokens/tiers/orgs/${id}`, { tier: 'FREE' }],
          ['POST', '/api/v1/tokens/purchase', { userId: id, provider, tokens: 1 }],
          ['POST', '/api/v1/tokens/purchase', { userId: ada.userId, orgId: id, provider, tokens: 1 }],
        ] as const) {
          assertProblem(await call(contract.baseOf(way, path), method, path, { token, body }), 404, 'NOT_FOUND');
        }
      });

      it('a wrong method is 405', async () => {
        for (const [method, path] of [
          ['GET', CONSUME],
          ['PUT', CONSUME],
          ['DELETE', '/api/v1/tokens/quota'],
          ['PATCH', '/api/v1/auth/api-keys'],
          ['POST', '/api/v1/analytics/usage'],
          ['POST', '/oauth2/jwks'],
          ['PROPFIND', '/api/v1/tokens/status'],
          ['TRACE', '/api/v1/tokens/status'],
        ] as const) {
          const answer = await call(contract.baseOf(way, path), method, path, { token: ada.token });
          assertClientError(answer);
          assert.equal(answer.status, 405, `${method} ${path}`);
          assert.match(answer.headers.allow ?? '', /^[A-Z]+(?:, [A-Z]+)*$/);
        }
      });

      it('another content type, charset or encoding is refused with 415 or 400', async () => {
        const text = JSON.stringify(good());
        for (const type of [
          'text/plain',
          'application/xml',
          'application/x-www-form-urlencoded',
          'multipart/form-data; boundary=x',
          'x',
          '',
        ]) {
          assertProblem(await post(way, CONSUME, text, { 'Content-Type': type }), 415);
        }
        assertProblem(await post(way, CONSUME, text, { 'Content-Type': 'application/json; charset=ebcdic' }), 415);
        for (const encoding of ['br2', 'zstd-x', 'compress', 'gzip, gzip']) {
          assertProblem(await post(way, CONSUME, text, { 'Content-Encoding': encoding }), 415);
        }
        assertProblem(await post(way, CONSUME, text, { 'Content-Encoding': 'gzip' }), 400);
        const utf16 = Buffer.from(text, 'utf16le');
        assertClientError(
          await post(way, CONSUME, utf16, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': String(utf16.length) }),
        );
      });

      it('a gzip bomb is refused with 413 and honest gzip is read', async () => {
        const bomb = gzipSync(Buffer.alloc(50 * MB, ' '));
        const sent = (bytes: Buffer) => post(way, CONSUME, bytes, { 'Content-Encoding': 'gzip' });
        assertProblem(await sent(bomb), 413, 'PAYLOAD_TOO_LARGE');
        assert.equal((await sent(gzipSync(JSON.stringify(good())))).status, 200);
      });

      it('5 MB are refused with 413, with and without a length', async () => {
        const { host } = new URL(contract.baseOf(way, CONSUME));
        const large = JSON.stringify({ ...good(), prompt: 'x'.repeat(5 * MB) });
        const head = `POST ${CONSUME} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${ada.token}\r\nContent-Type: application/json\r\n`;
        const withLength = await sendBytes(`http://${host}`, `${head}Content-Length: ${large.length}\r\n\r\n${large}`);
        assert.match(withLength, /^HTTP\/1\.1 413 /);
        assert.match(withLength, /PAYLOAD_TOO_LARGE/);
        const chunked = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
        const without = await sendBytes(`http://${host}`, `${head}Transfer-Encoding: chunked\r\n\r\n${chunked}`);
        assert.match(without, /^HTTP\/1\.1 413 /);
        assert.match(without, /PAYLOAD_TOO_LARGE/);
        assert.equal((await contract.ask(way, 'POST', CONSUME, { token: ada.token, body: good() })).status, 200, 'and goes on working');
      });

      it('headers: very long ones, a bad token of any form, a bad length and smuggling are 4xx', async () => {
        const base = contract.baseOf(way, CONSUME);
        const { host } = new URL(base);
        const headers = { 'X-Forwarded-For': ownAddress() };
        for (const Authorization of [
          'Bearer',
          'Bearer ',
          'Basic YTpi',
          'Bearer a b',
          `Bearer ${'a'.repeat(10_000)}`,
          'Bearer a.b.c',
          `bearer ${ada.token}x`,
          '\u00ff',
        ]) {
          assertProblem(await call(base, 'GET', '/api/v1/tokens/purchases', { headers: { ...headers, Authorization } }), 401);
        }
        for (const key of ['x', 'leaky_', `leaky_${ada.userId}_`, 'leaky_\u00ff', 'k'.repeat(10_000)]) {
          assertProblem(await call(base, 'GET', '/api/v1/tokens/purchases', { key, headers }), 401);
        }
        assert.match(
          await sendBytes(base, `GET / HTTP/1.1\r\nHost: ${host}\r\nX-Long: ${'a'.repeat(100_000)}\r\n\r\n`),
          /^HTTP\/1\.1 431 .*problem\+json/s,
        );
        for (const bytes of [
          'hello\r\n\r\n',
          `POST ${CONSUME} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: x\r\n\r\n`,
          `POST ${CONSUME} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
          `GET /api/v1/tokens/status HTTP/1.1\r\nHost: ${host}\r\nBad Header: x\r\n\r\n`,
          `GET /a b HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
          `GET /api/v1/tokens/status HTTP/1.1\r\n\r\n`,
          `GET /api/v1/tokens/\u00ff HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
        ]) {
          assert.match(await sendBytes(base, bytes), /^HTTP\/1\.1 4\d\d /, JSON.stringify(bytes));
        }
      });
    });
  }
});
