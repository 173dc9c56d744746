import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { ReadableStream } from 'node:stream/web';
import { asUser, raw, startTestGateway, until, type TestGateway } from './support.js';

const FIVE_MEGABYTES = 5 * 1024 * 1024;

describe('gateway bodies and streams', () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway({ env: { LEAKY_SERVICE_TIMEOUT_MS: '300' } });
  });
  after(() => gateway.close());

  const post = (body: RequestInit['body'], init: RequestInit & { duplex?: 'half' } = {}) =>
    fetch(`${gateway.url}/api/v1/tokens/consume`, { method: 'POST', headers: asUser(), body: body ?? null, ...init });

  it('forwards a body unchanged, announced or chunked', async () => {
    const text = JSON.stringify({ text: 'ä'.repeat(100_000) });
    await post(text);
    assert.equal(gateway.tokens.seen.at(-1)?.body, text);
    await post(new Blob([text]).stream(), { duplex: 'half' });
    assert.equal(gateway.tokens.seen.at(-1)?.body, text);
    assert.equal(gateway.tokens.seen.at(-1)?.headers['content-length'], String(Buffer.byteLength(text)));
  });

  it('refuses 5 MB that are announced', async () => {
    const { length: before } = gateway.tokens.seen;
    for (let turn = 0; turn < 5; turn += 1) {
      const answer = await post(Buffer.alloc(FIVE_MEGABYTES));
      assert.equal(answer.status, 413);
      assert.equal(((await answer.json()) as { code: string }).code, 'PAYLOAD_TOO_LARGE');
    }
    assert.equal(gateway.tokens.seen.length, before);
  });

  it('refuses an endless chunked body without reading on', async () => {
    let sent = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const answer = await post(endless, { duplex: 'half' });
    assert.equal(answer.status, 413);
    assert.equal(((await answer.json()) as { code: string }).code, 'PAYLOAD_TOO_LARGE');
    assert.ok(sent < 100 * FIVE_MEGABYTES, `${sent} bytes were taken`);
  });

  it('never makes two requests of one, however the body of a DELETE is sent', async () => {
    const { length: before } = gateway.tokens.seen;
    const hidden = 'GET /api/v1/tokens/hidden HTTP/1.1\r\nHost: x\r\nX-User-Id: root\r\n\r\n';
    await raw(
      gateway.port,
      'DELETE /api/v1/tokens/quota HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer jwt-ada\r\nConnection: close\r\n' +
        `Transfer-Encoding: chunked\r\n\r\n${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
    );
    assert.deepEqual(
      gateway.tokens.seen.slice(before).map(({ method, body }) => [method, body]),
      [['DELETE', hidden]],
    );
  });

  it('refuses a length that is sent in two ways', async () => {
    const answer = await raw(
      gateway.port,
      'POST /api/v1/tokens/consume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer jwt-ada\r\n' +
        'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    assert.match(answer, /^HTTP\/1.1 400 /);
  });

  it('holds no place and opens no breaker for a client that sends slowly', async () => {
    const { length: before } = gateway.tokens.seen;
    const sockets = Array.from({ length: 120 }, () => {
      const socket = connect(gateway.port, '127.0.0.1');
      socket.on('error', () => socket.destroy());
      socket.write('POST /api/v1/tokens/consume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer jwt-slow\r\nContent-Length: 100\r\n\r\n{');
      return socket;
    });
    assert.equal((await post('{}')).status, 200);
    assert.equal(gateway.tokens.seen.length, before + 1);
    for (const socket of sockets) socket.destroy();
  });

  it('passes the parts of a stream on as they come, past the time limit of ordinary calls', async () => {
    let finish: (() => void) | undefined;
    gateway.tokens.handler = (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.flushHeaders();
      const timer = setInterval(() => res.write('data: tick\n\n'), 40);
      finish = () => {
        clearInterval(timer);
        res.end('data: [DONE]\n\n');
      };
    };
    const began = Date.now();
    const answer = await post('{}', { headers: asUser() });
    assert.equal(answer.headers.get('content-type'), 'text/event-stream');
    assert.ok(answer.headers.has('x-ratelimit-limit'));
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? []) {
      text += decoder.decode(chunk as Uint8Array);
      if (Date.now() - began > 500) finish?.();
    }
    assert.ok(text.split('data: tick').length > 5);
    assert.ok(text.endsWith('data: [DONE]\n\n'));
  });

  it('sends the head of a stream before its first part', async () => {
    let body: (() => void) | undefined;
    gateway.tokens.handler = (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
      body = () => res.end('data: late\n\n');
    };
    const answer = await post('{}');
    assert.equal(answer.status, 200);
    body?.();
    assert.equal(await answer.text(), 'data: late\n\n');
  });

  it('aborts a stream when its reader hangs up', async () => {
    let closed = false;
    gateway.tokens.handler = (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: one\n\n');
      res.once('close', () => (closed = true));
    };
    const abort = new AbortController();
    const answer = await post('{}', { signal: abort.signal });
    abort.abort();
    await assert.rejects(answer.text());
    await until(() => closed);
  });
});
