import { SERVICE_NAMES, type ServiceName, type ServiceResolver } from '../../api/http/services.js';
import { ConfigError, type Config } from '../../config.js';
import type { Logger } from '../../telemetry/log.js';
import { Balancer } from './balancer.js';
import type { LookUp } from './dns.js';

export interface RunningResolver extends ServiceResolver {
  close(): void;
}

export interface ResolverOptions {
  services: Config['services'];
  refreshMs: number;
  log: Logger;
  /** For `lb://` names; unset: nothing looks them up */
  lookUp?: LookUp | undefined;
}

/**
 * The instances of each service: the URLs that are configured, or whatever stands behind its `lb://` name, looked up every
 * `refreshMs`. Resolves after the first look-up.
 * @throws ConfigError for a name that nothing looks up
 */
export async function createServiceResolver({ services, refreshMs, log, lookUp }: ResolverOptions): Promise<RunningResolver> {
  const balancers = new Map(SERVICE_NAMES.map((name) => [name, new Balancer()]));
  const watches: (() => void)[] = [];
  for (const [service, balancer] of balancers) {
    const address = services[service];
    if (!address.startsWith('lb://')) {
      balancer.update(address.split(',').map((item) => new URL(item.trim())));
      continue;
    }
    if (!lookUp) throw new ConfigError(`LEAKY_${service.toUpperCase()}_URL: ${address} needs LEAKY_DISCOVERY to be dns or registry`);
    const { hostname, port } = new URL(address);
    const find = () => lookUp(hostname, port === '' ? null : Number(port));
    watches.push(await watch({ service, balancer, find, refreshMs, log }));
  }
  return {
    resolve: (service, tried) => balancers.get(service)?.take(tried) ?? null,
    report: (service, instance, outcome) => balancers.get(service)?.report(instance, outcome),
    close: () => watches.forEach((end) => end()),
  };
}

interface Watch extends Pick<ResolverOptions, 'refreshMs' | 'log'> {
  service: ServiceName;
  balancer: Balancer;
  find: () => Promise<URL[]>;
}

/**
 * A look-up that fails, or finds none where there were some, changes nothing: a registry that lost its memory is likelier than a
 * service that lost all its instances, and those that are really gone are ejected by the balancer.
 */
async function watch({ service, balancer, find, refreshMs, log }: Watch): Promise<() => void> {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let failing = false;

  const look = async (): Promise<void> => {
    try {
      const found = await find();
      if (found.length > 0) balancer.update(found);
      if (failing) log.info({ service, instances: found.length }, 'instances are looked up again');
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ err: error, service }, 'instances cannot be looked up; going on with those known');
      failing = true;
    }
    if (!closed) timer = setTimeout(() => void look(), refreshMs).unref();
  };

  await look();
  return () => {
    closed = true;
    clearTimeout(timer);
  };
}
