import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { whenProduced } from '../../api/http/answer-produced.js';
import { networkOf } from '../../api/http/client-address.js';
import { eventually } from '../support/eventually.js';

/** More than the kernels of both sides take without a reader */
const LARGE = Buffer.alloc(16 * 1024 * 1024, 'x');

describe('an answer that is produced', () => {
  async function request(listener: RequestListener, then: (socket: ReturnType<typeof connect>) => Promise<void>) {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause().write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n');
    try {
      await then(socket);
    } finally {
      socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  it('is so when all of it was handed over, although its client reads nothing, and also behind another one', async () => {
    let produced = 0;
    await request(
      (_req, res) => {
        whenProduced(res, () => (produced += 1));
        res.end(LARGE);
      },
      () => eventually('both are produced', () => produced === 2).then(() => undefined),
    );
    assert.equal(produced, 2, 'each once');
  });

  it('is over when its client has gone before', async () => {
    let produced = 0;
    let arrived = false;
    await request(
      (_req, res) => {
        arrived = true;
        whenProduced(res, () => (produced += 1));
      },
      async (socket) => {
        await eventually('the request is there', () => arrived);
        assert.equal(produced, 0);
        socket.destroy();
        await eventually('it is over', () => produced > 0);
      },
    );
  });
});

describe('the address that limits count by', () => {
  for (const [address, counted] of [
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0db8:1:2::9', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ] as const) {
    it(`of ${address} is ${counted}`, () => assert.equal(networkOf(address), counted));
  }
});
