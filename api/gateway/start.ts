import type { Config } from '../../config.js';
import type { Logger } from '../../telemetry/log.js';
import type { Authenticator } from '../http/authenticate.js';
import type { Operation } from '../http/openapi.js';
import { createServiceApp, listen, type LocalService, type RunningServer } from '../http/service.js';
import type { BreakerSettings } from './breaker.js';
import { fallbackOperation, sendFallback } from './fallback.js';
import { createForwarder } from './forwarder.js';
import { createGatewayHandler } from './gateway.js';
import type { RateLimitStore, ServiceName, ServiceResolver } from './ports.js';

export interface GatewayOptions {
  config: Config;
  log: Logger;
  /** Closed by whoever made it */
  authenticator: Pick<Authenticator, 'identify'>;
  limits: RateLimitStore;
  services: ServiceResolver;
  local?: ReadonlyMap<ServiceName, LocalService>;
  /** What the services offer: the gateway documents all of it */
  operations: readonly Operation[];
  /** Overrides BREAKER_DEFAULTS */
  breaker?: Partial<BreakerSettings>;
  readiness?: Record<string, () => Promise<unknown>>;
  /** Default: the configured port */
  port?: number;
}

const FALLBACK_RETRY_AFTER_MS = 30_000;

/** Starts the gateway. @throws Error when its port is taken */
export async function startGateway(options: GatewayOptions): Promise<RunningServer> {
  const { config, log } = options;
  const forwarder = createForwarder();
  const handle = createGatewayHandler({ ...options, forwarder });
  const app = createServiceApp({
    name: 'gateway',
    title: 'Leaky Tokens',
    config,
    log,
    operations: [...options.operations, fallbackOperation],
    answered: [fallbackOperation],
    serverUrl: config.publicUrl,
    readiness: options.readiness ?? {},
    rawBodies: true,
    routes: (router) => {
      router.get('/fallback/:service', (req, res) => sendFallback(req, res, FALLBACK_RETRY_AFTER_MS));
      router.use(handle);
    },
  });
  const server = await listen(app, config.host, options.port ?? config.ports.gateway, config.http, app.trusts);
  return {
    port: server.port,
    close: async (graceMs) => {
      await server.close(graceMs);
      forwarder.close();
    },
  };
}
