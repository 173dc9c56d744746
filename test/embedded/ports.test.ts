import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { freePort, requireFreePorts, type WantedPort } from '../../embedded/ports.js';

describe('the check of the ports', () => {
  const wanted = (port: number, purpose: string, variable: string): WantedPort => ({ host: '127.0.0.1', port, purpose, variable });

  it('names every taken port, what it is for and the variable that changes it', async () => {
    const servers = await Promise.all(
      [0, 0].map(
        () =>
          new Promise<ReturnType<typeof createServer>>((resolve) => {
            const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
          }),
      ),
    );
    const [first, second] = servers.map((server) => (server.address() as AddressInfo).port) as [number, number];
    try {
      await assert.rejects(
        requireFreePorts([
          wanted(first, 'gateway', 'LEAKY_GATEWAY_PORT'),
          wanted(await freePort(), 'auth service', 'LEAKY_AUTH_PORT'),
          wanted(second, 'PostgreSQL', 'LEAKY_POSTGRES_PORT'),
        ]),
        (error: Error) => {
          assert.equal(error.name, 'StartError');
          const lines = error.message.split('\n');
          assert.equal(lines.length, 2);
          assert.match(lines[0]!, new RegExp(`^Port ${first} \\(gateway\\) is taken.*LEAKY_GATEWAY_PORT`));
          assert.match(lines[1]!, new RegExp(`^Port ${second} \\(PostgreSQL\\) is taken.*LEAKY_POSTGRES_PORT`));
          return true;
        },
      );
    } finally {
      servers.forEach((server) => server.close());
    }
  });

  it('sees that two services want one port', async () => {
    const port = await freePort();
    await assert.rejects(
      requireFreePorts([wanted(port, 'gateway', 'LEAKY_GATEWAY_PORT'), wanted(port, 'auth service', 'LEAKY_AUTH_PORT')]),
      /wanted twice: by LEAKY_GATEWAY_PORT .* and LEAKY_AUTH_PORT/,
    );
  });

  it('lets 0 stand for any free port, as often as one likes', async () => {
    await requireFreePorts([wanted(0, 'gateway', 'LEAKY_GATEWAY_PORT'), wanted(0, 'auth service', 'LEAKY_AUTH_PORT')]);
  });
});
