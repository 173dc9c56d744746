import { randomUUID } from 'node:crypto';
import { createDnsLookUp, type LookUp } from '../../adapters/discovery/dns.js';
import { createServiceResolver, type RunningResolver } from '../../adapters/discovery/resolver.js';
import { createServiceRegistry, type Registration } from '../../adapters/redis/service-registry.js';
import { log, withRedis } from '../redis/support.js';
import { startTestDns, type TestDns } from '../support/dns-server.js';
import { serviceResolverContract, type Source } from './service-resolver.js';

const LOCAL = { auth: 'http://127.0.0.1:8081', analytics: 'http://127.0.0.1:8083' };

describe('ServiceResolver', function () {
  this.timeout(30_000);
  const open = async (tokens: string, lookUp?: LookUp): Promise<RunningResolver> =>
    createServiceResolver({ services: { ...LOCAL, tokens }, refreshMs: 50, log, lookUp });
  let source: Source & { resolver: RunningResolver };
  afterEach('close', () => source.resolver.close());

  describe('of configured URLs', () => {
    beforeEach(
      async () => void (source = { resolver: await open('http://127.0.0.1:9001, http://127.0.0.1:9002'), become: async () => undefined }),
    );
    serviceResolverContract(() => source, { changes: false });
  });

  describe('by DNS', () => {
    let dns: TestDns;
    before('a DNS server', async () => void (dns = await startTestDns()));
    after(() => dns.close());

    describe('SRV records', () => {
      beforeEach(async () => {
        dns.a.set('pod.example', ['127.0.0.1']);
        source = {
          resolver: await open('lb://_http._tcp.tokens.example', createDnsLookUp([dns.address])),
          async become(ports) {
            const fallback = { priority: 20, weight: 1, port: 9999, name: 'pod.example' };
            const records = ports.map((port) => ({ priority: 10, weight: 1, port, name: 'pod.example' }));
            dns.srv.set('_http._tcp.tokens.example', records.length > 0 ? [fallback, ...records] : []);
          },
        };
      });
      serviceResolverContract(() => source, { changes: true });
    });
  });

  describe('by the registry in Redis', () => {
    const redis = withRedis();
    const registered = new Map<number, Registration>();
    beforeEach(async () => {
      const registry = createServiceRegistry(redis(), { heartbeatMs: 30_000, log });
      const name = `token-service-${randomUUID()}`;
      registered.clear();
      source = {
        resolver: await open(`lb://${name}`, (host) => registry.list(host)),
        async become(ports) {
          for (const [port, registration] of registered) {
            if (ports.includes(port)) continue;
            await registration.end();
            registered.delete(port);
          }
          for (const port of ports) {
            if (!registered.has(port)) registered.set(port, await registry.register(name, new URL(`http://127.0.0.1:${port}`)));
          }
        },
      };
    });
    afterEach(async () => {
      for (const registration of registered.values()) await registration.end();
    });
    serviceResolverContract(() => source, { changes: true });
  });
});
