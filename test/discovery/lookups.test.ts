import assert from 'node:assert/strict';
import { createDnsLookUp } from '../../adapters/discovery/dns.js';
import { createServiceResolver } from '../../adapters/discovery/resolver.js';
import { createServiceRegistry } from '../../adapters/redis/service-registry.js';
import { ConfigError, loadConfig } from '../../config.js';
import { connectTo, log } from '../redis/support.js';
import { startTestDns, type TestDns } from '../support/dns-server.js';
import { eventually } from '../support/eventually.js';
import { startOwnRedis } from '../support/redis-server.js';

const INSTANCE = new URL('http://127.0.0.1:9001');

describe('looking instances up', function () {
  this.timeout(30_000);

  describe('in DNS', () => {
    let dns: TestDns;
    before(async () => void (dns = await startTestDns()));
    after(() => dns.close());

    it('takes addresses from A records and the port from the name', async () => {
      dns.a.set('tokens.example', ['127.0.0.1', '127.0.0.2']);
      const urls = await createDnsLookUp([dns.address])('tokens.example', 8082);
      assert.deepEqual(urls.map(String).sort(), ['http://127.0.0.1:8082/', 'http://127.0.0.2:8082/']);
    });

    it('finds none for a name that is not there, and fails when the server does', async () => {
      const lookUp = createDnsLookUp([dns.address]);
      assert.deepEqual(await lookUp('nowhere.example', 8082), []);
      assert.deepEqual(await lookUp('nowhere.example', null), []);
      dns.failing = true;
      await assert.rejects(lookUp('tokens.example', 8082));
      dns.failing = false;
    });

    it('goes on with the known instances while the server fails', async () => {
      dns.a.set('tokens.example', ['127.0.0.1']);
      const services = { auth: 'http://a', analytics: 'http://b', tokens: 'lb://tokens.example:8082' };
      let asked = 0;
      const real = createDnsLookUp([dns.address]);
      const lookUp: typeof real = (...args) => real(...args).finally(() => (asked += 1));
      const resolver = await createServiceResolver({ services, refreshMs: 20, log, lookUp });
      try {
        dns.failing = true;
        const before = asked;
        await eventually('it has asked in vain', () => asked > before + 2);
        assert.equal(resolver.resolve('tokens')?.host, '127.0.0.1:8082');
      } finally {
        dns.failing = false;
        resolver.close();
      }
    });
  });

  describe('in the registry', () => {
    it('an instance that ends without leaving expires', async () => {
      const server = await startOwnRedis();
      const [dying, watching] = [await connectTo(server.url), await connectTo(server.url)];
      try {
        const list = () => createServiceRegistry(watching, { heartbeatMs: 30_000, log }).list('token-service');
        await createServiceRegistry(dying, { heartbeatMs: 400, log }).register('token-service', INSTANCE);
        assert.deepEqual((await list()).map(String), [INSTANCE.href]);
        const expiry = () => watching.zscore('registry:{token-service}', INSTANCE.href);
        const first = await expiry();
        await eventually('a heartbeat puts its end off', async () => (await expiry()) !== first);
        assert.equal((await list()).length, 1);
        dying.disconnect();
        await eventually('it is gone', async () => (await list()).length === 0, 3_000);
      } finally {
        dying.disconnect();
        watching.disconnect();
      }
    });

    it('that has lost its memory has the instances again as soon as it is back', async () => {
      const server = await startOwnRedis();
      const client = await connectTo(server.url);
      try {
        const registry = createServiceRegistry(client, { heartbeatMs: 30_000, log });
        const registration = await registry.register('token-service', INSTANCE);
        server.signal('SIGKILL');
        await server.start();
        await eventually('it is registered', () =>
          registry.list('token-service').then(
            (urls) => urls.length === 1,
            () => false,
          ),
        );
        await registration.end();
        assert.deepEqual(await registry.list('token-service'), []);
      } finally {
        client.disconnect();
      }
    });
  });

  it('faulty configurations are told', async () => {
    for (const [url, hint] of [
      ['ftp://x', /LEAKY_TOKENS_URL: "ftp:\/\/x" is neither/],
      ['lb://a b', /LEAKY_TOKENS_URL/],
      ['http://a:1,lb://b', /LEAKY_TOKENS_URL: "lb:\/\/b" is neither/],
    ] as const) {
      assert.throws(() => loadConfig({ LEAKY_TOKENS_URL: url }), hint);
    }
    const { services } = loadConfig({ LEAKY_TOKENS_URL: 'lb://token-service' });
    await assert.rejects(createServiceResolver({ services, refreshMs: 1_000, log }), (error: unknown) => {
      return error instanceof ConfigError && /LEAKY_TOKENS_URL: lb:\/\/token-service needs LEAKY_DISCOVERY/.test(error.message);
    });
  });
});
