import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createDnsLookUp, type LookUp } from '../adapters/discovery/dns.js';
import { createServiceResolver, type RunningResolver } from '../adapters/discovery/resolver.js';
import { createServiceRegistry, type ServiceRegistry } from '../adapters/redis/service-registry.js';
import type { RunningService } from '../api/http/service.js';
import type { ServiceName } from '../api/http/services.js';
import { ConfigError } from '../config.js';
import type { Resources } from './resources.js';
import { servicePart, type Service } from './service.js';

/** In so many times the interval all gateways have looked again, and nobody sends anything here. */
const LOOKED_AGAIN = 1.5;

type Parts = Pick<Resources, 'config' | 'log' | 'redis'>;

/** Where the instances of the services are, as LEAKY_DISCOVERY says. @throws ConfigError when what it needs is not configured */
export async function openServices(parts: Parts): Promise<RunningResolver> {
  const { config, log } = parts;
  return createServiceResolver({ services: config.services, refreshMs: config.discovery.refreshMs, log, lookUp: await lookUpOf(parts) });
}

async function lookUpOf(parts: Parts): Promise<LookUp | undefined> {
  const { by, dnsServers } = parts.config.discovery;
  if (by === 'dns') return createDnsLookUp(dnsServers);
  if (by === 'static') return undefined;
  const registry = await openRegistry(parts);
  return (name) => registry.list(name);
}

async function openRegistry({ config, log, redis }: Parts): Promise<ServiceRegistry> {
  const client = await redis();
  if (!client) throw new ConfigError('LEAKY_DISCOVERY: registry needs LEAKY_REDIS_URL, where the registry is');
  return createServiceRegistry(client, { heartbeatMs: config.discovery.heartbeatMs, log });
}

/** A server that others find in the registry, where there is one: from now on until it is to leave. */
export async function foundServer(name: ServiceName, server: RunningService, resources: Resources): Promise<Service> {
  const part = servicePart(name, server, resources);
  const { by, registeredNames, advertisedHost, refreshMs } = resources.config.discovery;
  if (by !== 'registry') return part;
  const url = new URL(`http://${advertisedHost ?? ownAddress()}:${server.port}`);
  const registration = await (await openRegistry(resources)).register(registeredNames[name], url);
  return {
    ...part,
    async leave() {
      await registration.end();
      await delay(LOOKED_AGAIN * refreshMs);
    },
  };
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((known) => known ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1';
}
