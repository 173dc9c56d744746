import express, { type Express, type RequestHandler, type Router } from 'express';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from '../../config.js';
import type { Logger } from '../../telemetry/log.js';
import { currentExposition } from '../../telemetry/exposition.js';
import { registry } from '../../telemetry/metrics.js';
import { activeTracer } from '../../telemetry/tracing.js';
import { accessLog } from './access-log.js';
import { answerClientError } from './client-error.js';
import { CONNECTION_LIMITS, Connections, type ConnectionLimits } from './connections.js';
import { correlationId } from './correlation.js';
import { crossOrigin, inTurn, securityHeaders } from './edge.js';
import { healthRoutes, type Checks } from './health.js';
import { jsonBody } from './json-body.js';
import { openApiDocument, openApiRoutes, type Operation } from './openapi.js';
import { pageLimit } from './page-limit.js';
import { notFound, problemHandler } from './problem.js';
import { requestTimes } from './request-times.js';
import { traceRequests } from './trace-requests.js';
import { trustOf } from './trusted-proxies.js';

export interface ServiceOptions {
  name: string;
  title: string;
  config: Config;
  log: Logger;
  operations: readonly Operation[];
  serverUrl: string;
  /** Mounts the routes; runs after correlation id, security headers and (unless `rawBodies`) JSON parsing. */
  routes: (router: Router) => void;
  /** Each named check resolves when the dependency answers; readiness is all of them. */
  readiness?: Checks;
  /** A proxy forwards bodies unread */
  rawBodies?: boolean;
  /** Pages of the allowed origins may send cookies */
  corsCredentials?: boolean;
}

/** `inner` is what lies behind the edge (correlation id, security headers): a gateway in the same process calls that directly. */
export type ServiceApp = Express & {
  inner: RequestHandler;
  /** Whether an address is one of our own proxies or gateways */
  trusts: (address: string) => boolean;
};

/** What every service has: correlation id, security headers, body limit, health, metrics, API docs and one error shape. */
export function createServiceApp(options: ServiceOptions): ServiceApp {
  const { config } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  // Without it, everyone who comes through the gateway would share its address, and with it the limits by address.
  app.set('trust proxy', trustOf(config.http.trustedProxies, options.rawBodies ? null : config.http.trustedGateways));
  const behind = routesOf(options);
  const cors = crossOrigin(config, { credentials: options.corsCredentials ?? false });
  app.use(inTurn(correlationId, ...observed(options), cors, ownPages(options), securityHeaders));
  app.use(behind);
  const trusted = app.get('trust proxy fn') as (address: string, hop: number) => boolean;
  return Object.assign(app, { inner: inTurn(...observed(options), behind), trusts: (address: string) => trusted(address, 0) });
}

/** What every service tells of itself, and a gateway in place of others. */
const OWN_PAGES = /^\/(?:health|metrics|openapi\.json|docs|fallback)(?:[/?]|$)/i;

function ownPages({ config, name, title, operations, serverUrl, readiness = {} }: ServiceOptions): RequestHandler {
  const pages = express.Router();
  pages.use(healthRoutes(name, readiness));
  if (config.telemetry.metricsPort === undefined) {
    pages.get('/metrics', async (_req, res) => {
      res.type(registry.contentType).send(await currentExposition());
    });
  }
  pages.use(openApiRoutes(() => openApiDocument(title, operations, serverUrl)));
  const limited = inTurn(pageLimit(config), pages);
  return (req, res, next) => (OWN_PAGES.test(req.url) ? limited(req, res, next) : next());
}

/** Times, traces and, where wanted, logs each request. */
function observed({ config, log, name, rawBodies = false }: ServiceOptions): RequestHandler[] {
  const tracer = activeTracer();
  const { accessLog: level, traceCallers } = config.telemetry;
  return [
    requestTimes(name),
    ...(tracer ? [traceRequests(tracer, { service: name, takeParent: !rawBodies || traceCallers })] : []),
    ...(level ? [accessLog(name, log, level)] : []),
  ];
}

function routesOf({ config, log, routes, rawBodies = false }: ServiceOptions): Router {
  const router = express.Router();
  if (!rawBodies) router.use(jsonBody(config.http.bodyLimitBytes));
  routes(router);
  return router.use(notFound, problemHandler(log));
}

export interface RunningServer {
  port: number;
  /** Stops taking connections and waits for requests in flight, at most `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What a gateway of the same process calls in place of a server */
export type LocalService = RequestHandler & {
  /** Whether it would refuse the request unread, for having as much in progress as it takes, of all or of this caller */
  isFull?: (req: IncomingMessage, caller: string) => boolean;
};

export interface RunningService extends RunningServer {
  inner: LocalService;
}

/** @throws Error with the address in its message when the port is taken */
export async function listen(
  app: RequestListener,
  host: string,
  port: number,
  limits: ConnectionLimits = CONNECTION_LIMITS,
  trusts?: (address: string) => boolean,
): Promise<RunningServer> {
  // Slow senders of headers or bodies are cut off; answers, streams among them, may take as long as they like.
  const server = createServer({
    keepAliveTimeout: 65_000,
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 5_000,
  });
  const connections = new Connections(server, limits, trusts);
  server.on('request', (req, res) => connections.serve(req, res, app));
  server.on('clientError', answerClientError);
  // An answer that is written to after its end says so by an error of its own.
  server.prependListener('request', (_req, res) => res.on('error', () => undefined));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new Error(`Port ${port} on ${host} is already in use`, { cause: error }) : error),
    );
    server.listen({ host, port, backlog: 4096 }, resolve);
  });
  // A connection that could not be accepted, for want of file descriptors: the next one may be.
  server.on('error', () => undefined);
  return { port: (server.address() as AddressInfo).port, close: (graceMs) => connections.close(graceMs) };
}
