import { SERVICE_NAMES, type ServiceName, type ServiceResolver } from '../../api/gateway/ports.js';

/** Instances from configuration: URLs separated by commas. The first takes every call; choosing among several is a balancer's work. */
export function createServiceList(services: Record<ServiceName, string>): ServiceResolver {
  const instances = new Map(SERVICE_NAMES.map((name) => [name, parse(name, services[name])]));
  return { resolve: (service) => instances.get(service)?.[0] ?? null };
}

/** @throws Error that names the service when an item is not an http(s) URL */
function parse(name: string, text: string): URL[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean)
    .map((item) => {
      const url = URL.canParse(item) ? new URL(item) : null;
      if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new Error(`Service ${name}: "${item}" is not an http(s) URL`);
      return url;
    });
}
