import type { RequestHandler } from 'express';
import type { Config } from '../../config.js';
import type { Logger } from '../../telemetry/log.js';
import type { Operation } from '../http/openapi.js';
import { createServiceApp, listen, type RunningService, type ServiceApp } from '../http/service.js';
import { anomalies } from './anomalies.js';
import { health } from './health.js';
import type { AnalyticsDependencies, Route } from './query.js';
import { report } from './report.js';
import { timeseries } from './timeseries.js';
import { usage } from './usage.js';

const routes: readonly Route[] = [health, usage, report, anomalies, timeseries];

export const operations: readonly Operation[] = routes.map((route) => route.operation);

export interface AnalyticsOptions extends Omit<AnalyticsDependencies, 'clock'> {
  config: Config;
  log: Logger;
  /** Proves who calls; refuses with UNAUTHENTICATED */
  authenticate: RequestHandler;
  clock?: () => Date;
}

export function createAnalyticsApp(options: AnalyticsOptions): ServiceApp {
  const dependencies: AnalyticsDependencies = { ...options, clock: options.clock ?? (() => new Date()) };
  return createServiceApp({
    name: 'analytics-service',
    title: 'Leaky Tokens: analytics service',
    config: options.config,
    log: options.log,
    operations,
    serverUrl: options.config.ownUrls.analytics,
    authenticate: options.authenticate,
    readiness: { store: () => options.usage.ping() },
    routes: (router) => {
      for (const { operation, handle } of routes) {
        router[operation.method](operation.path, handle(dependencies));
      }
    },
  });
}

/** @throws Error when the port is taken */
export async function startAnalytics(options: AnalyticsOptions): Promise<RunningService> {
  const { host, ports, http } = options.config;
  const app = createAnalyticsApp(options);
  return { ...(await listen(app, host, ports.analytics, http, app.trusts)), inner: app.inner };
}
