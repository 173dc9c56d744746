import assert from 'node:assert/strict';
import { Agent, request, type RequestListener } from 'node:http';
import { connect, type Socket } from 'node:net';
import { CONNECTION_LIMITS } from '../../api/http/connections.js';
import { listen, type RunningServer } from '../../api/http/service.js';
import { eventually } from '../support/eventually.js';

/** More than the kernels of both sides take without a reader */
const LARGE = Buffer.alloc(16 * 1024 * 1024, 'x');
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

describe('connections of a server', function () {
  this.timeout(20_000);
  let server: RunningServer;
  let sockets: Socket[] = [];
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets = [];
    await server.close(0);
  });

  const start = async (app: RequestListener, limits = {}) => {
    server = await listen(app, '127.0.0.1', 0, { ...CONNECTION_LIMITS, ...limits });
  };
  function client(): Socket & { ended: () => boolean; text: () => string } {
    const socket = connect(server.port, '127.0.0.1');
    let over = false;
    let text = '';
    socket.on('error', () => undefined).on('close', () => (over = true));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1').slice(0, 1_000)));
    sockets.push(socket);
    return Object.assign(socket, { ended: () => over, text: () => text });
  }

  it('an answer of which the client takes nothing is cut, one that is taken slowly is not', async () => {
    let cut = 0;
    const app: RequestListener = (req, res) => {
      req.socket.once('close', () => (cut += 1));
      res.end(LARGE);
    };
    await start(app, { stalledAnswerMs: 500 });
    const stalled = client();
    const slow = client();
    let taken = 0;
    slow.removeAllListeners('data').on('readable', () => undefined);
    const sips = setInterval(() => (taken += (slow.read() as Buffer | null)?.length ?? 0), 10);
    try {
      stalled.pause().write(GET);
      slow.write(GET);
      await eventually('the stalled one is cut', () => cut > 0);
      await eventually('the slow one gets all of it', () => taken > LARGE.length);
      assert.equal(cut, 1);
    } finally {
      clearInterval(sips);
    }
  });

  it('a stream whose source is silent is left alone', async () => {
    let finish: () => void = () => undefined;
    await start(
      (_req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: one\n\n');
        finish = () => res.end('data: two\n\n');
      },
      { stalledAnswerMs: 50 },
    );
    const reader = client();
    reader.write(GET);
    await eventually('it has begun', () => reader.text().includes('one'));
    const began = Date.now();
    await eventually('many of those times have passed', () => Date.now() - began > 400);
    finish();
    await eventually('it goes on', () => reader.text().includes('two'));
  });

  it('one address has its share of connections; the next one is told, and there is room when one ends', async () => {
    await start((_req, res) => res.end('here'), { connectionsPerAddress: 3 });
    const held = [client(), client(), client()];
    for (const socket of held) socket.write(GET);
    await eventually('three are served', () => held.every((socket) => socket.text().includes('here')));
    const one = client();
    one.write(GET);
    await eventually('it is refused', () => one.text().startsWith('HTTP/1.1 503 ') && one.text().includes('"code":"OVERLOADED"'));
    assert.match(one.text(), /\r\nRetry-After: 1\r\n/);
    await eventually('and closed', () => one.ended());
    held[0]?.destroy();
    await eventually('there is room', async () => {
      const next = client();
      next.write(GET);
      await eventually('an answer', () => next.text() !== '');
      return next.text().includes('here');
    });
  });

  it('proxies of ours have no share: everybody comes through them', async () => {
    server = await listen(
      (_req, res) => res.end('here'),
      '127.0.0.1',
      0,
      { ...CONNECTION_LIMITS, connectionsPerAddress: 1 },
      () => true,
    );
    const held = [client(), client(), client()];
    for (const socket of held) socket.write(GET);
    await eventually('all are served', () => held.every((socket) => socket.text().includes('here')));
  });

  it('there are no more of them in all than may be', async () => {
    await start((_req, res) => res.end('here'), { connections: 2 });
    const held = [client(), client()];
    for (const socket of held) socket.write(GET);
    await eventually('two are served', () => held.every((socket) => socket.text().includes('here')));
    const third = client();
    await eventually('the third is closed', () => third.ended());
  });

  it('that ends cuts none of 45 callers who keep their connections: each answer says that it is the last', async () => {
    await start((_req, res) => setTimeout(() => res.setHeader('x-ending', String(ending)).end('here'), 5));
    const agent = new Agent({ keepAlive: true, maxSockets: 45 });
    const cut: unknown[] = [];
    let answered = 0;
    const words = new Set<string>();
    let ending = false;
    const call = () =>
      new Promise<boolean>((resolve) => {
        const req = request({ port: server.port, host: '127.0.0.1', agent }, (res) => {
          answered += 1;
          words.add(`${res.headers['x-ending'] === 'true' ? 'ending' : 'running'}: ${res.headers.connection}`);
          res
            .resume()
            .once('end', () => resolve(true))
            .once('error', (error) => (cut.push(error), resolve(false)));
        });
        req.once('error', (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ECONNREFUSED') cut.push(error);
          resolve(false);
        });
        req.end();
      });
    const caller = async () => {
      while (await call());
    };
    const callers = Array.from({ length: 45 }, caller);
    await eventually('all are calling', () => answered > 200);
    ending = true;
    const closed = server.close(10_000);
    await Promise.all([closed, ...callers]);
    assert.deepEqual(cut, []);
    assert.deepEqual(words, new Set(['running: keep-alive', 'ending: close']));
    agent.destroy();
  });
});
