import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '../support/servers.js';
import { allGone, isolatedEnvironment, ready, leakyStart } from './leaky-process.js';

/** Files and folders that anyone but their owner may read, enter or change */
function readableByOthers(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => existsSync(file) && (statSync(file).mode & 0o077) !== 0);
}

describe('leaky start', function () {
  this.timeout(120_000);
  const dataDir = path.join(temporaryFolder('start'), 'data');

  const register = async (gateway: string, username: string) => {
    const response = await fetch(`${gateway}/api/v1/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, email: `${username}@example.com`, password: 'correct horse' }),
    });
    return response.status;
  };

  it('names a taken port and starts nothing', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const system = leakyStart(await isolatedEnvironment(`${dataDir}-taken`, { LEAKY_ANALYTICS_PORT: String(port) }));
    assert.equal(await system.ended, 2);
    server.close();
    assert.match(system.output(), new RegExp(`Port ${port} \\(analytics service\\) is taken.*LEAKY_ANALYTICS_PORT`));
    assert.equal(existsSync(`${dataDir}-taken/postgres`), false);
  });

  it('reports every fault of the configuration at once, without a stack', async () => {
    const system = leakyStart(await isolatedEnvironment(dataDir, { LEAKY_GATEWAY_PORT: 'x', LEAKY_BUCKET_CAPACITY: '-1' }));
    assert.equal(await system.ended, 2);
    assert.match(system.output(), /LEAKY_GATEWAY_PORT: .*\n.*LEAKY_BUCKET_CAPACITY: /);
    assert.doesNotMatch(system.output(), /\n\s+at /);
  });

  it('refuses a second start on the folder, survives kill -9, keeps its data, and leaves nothing behind', async () => {
    const environment = await isolatedEnvironment(dataDir);
    const first = leakyStart(environment);
    await ready(first);
    assert.match(first.output(), /Admin +admin \/ \S{20}/);
    assert.equal(statSync(path.join(dataDir, 'secrets.json')).mode & 0o777, 0o600);
    assert.equal(await register(first.gateway, 'grace'), 201);
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
    assert.deepEqual(readableByOthers(dataDir), []);

    const second = leakyStart(await isolatedEnvironment(dataDir));
    assert.equal(await second.ended, 2);
    assert.match(second.output(), new RegExp(`already running on .* \\(process ${first.process.pid}\\)`));

    const orphans = first.watchdogs();
    assert.equal(orphans.length, 2);
    first.process.kill('SIGKILL');
    assert.equal(await first.ended, 'SIGKILL');

    const third = leakyStart(environment);
    await ready(third);
    await allGone(orphans);
    assert.doesNotMatch(third.output(), /shown only now/);
    assert.equal(await register(third.gateway, 'grace'), 409);
    const children = third.watchdogs();
    third.process.kill('SIGINT');
    assert.equal(await third.ended, 0);
    await allGone(children);
    assert.equal(existsSync(path.join(dataDir, 'lock.json')), false);
  });
});
