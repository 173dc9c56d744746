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
import { privateByDefault } from './caching.js';
import { correlationId } from './correlation.js';
import { crossOrigin, inTurn, securityHeaders } from './edge.js';
import { errorPages } from './error-pages.js';
import { guardOperations, refuseMethod } from './guard.js';
import { requireOneHost } from './host.js';
import { healthRoutes, type Checks } from './health.js';
import { openApiDocument, openApiRoutes, type Operation } from './openapi.js';
import { pageLimit } from './page-limit.js';
import { linkProblems, notFound, problemHandler } from './problem.js';
import { requestTimes } from './request-times.js';
import { traceRequests } from './trace-requests.js';
import { trustOf } from './trusted-proxies.js';

export interface ServiceOptions {
  name: string;
  title: string;
  config: Config;
  log: Logger;
  operations: readonly Operation[];
  /** Those that this process answers itself; default: all of them */
  answered?: readonly Operation[];
  serverUrl: string;
  /** Proves who calls what is not public, before its body is read; unset: the routes do so, or none needs it */
  authenticate?: RequestHandler;
  /** Mounts the routes; runs after correlation id, security headers and the guard of the operations (method, caller, query, body). */
  routes: (router: Router) => void;
  /** Each named check resolves when the dependency answers; readiness is all of them. */
  readiness?: Checks;
  /** A proxy forwards bodies unread, and proves callers itself */
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
  linkProblems(config.publicUrl);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  // Without it, everyone who comes through the gateway would share its address, and with it the limits by address.
  app.set('trust proxy', trustOf(config.http.trustedProxies, options.rawBodies ? null : config.http.trustedGateways));
  const behind = routesOf(options);
  const cors = crossOrigin(config, { credentials: options.corsCredentials ?? false });
  app.use(inTurn(correlationId, ...observed(options), cors, privateByDefault, ownPages(options), securityHeaders));
  app.use(behind, problemHandler(options.log));
  const trusted = app.get('trust proxy fn') as (address: string, hop: number) => boolean;
  return Object.assign(app, { inner: inTurn(...observed(options), behind), trusts: (address: string) => trusted(address, 0) });
}

/** What every service tells of itself, and a gateway in place of others. */
const OWN_PAGES = /^\/(?:health|metrics|openapi\.json|docs|errors|fallback)(?:[/?]|$)/i;
/** For browsers, whose tools add parameters of their own */
const PAGES_FOR_PEOPLE = /^\/(?:docs|errors)(?:[/?]|$)/i;

const ownPage = (path: string): Operation => ({
  method: 'get',
  path,
  summary: 'What a service tells of itself',
  tag: 'service',
  public: true,
  undocumented: true,
  responses: {},
});
const PAGES = ['/health/live', '/health/startup', '/health/ready', '/metrics', '/openapi.json'].map(ownPage);

function ownPages({ config, name, title, operations, serverUrl, readiness = {} }: ServiceOptions): RequestHandler {
  const pages = express.Router();
  pages.use(healthRoutes(name, readiness));
  if (config.telemetry.metricsPort === undefined) {
    pages.get('/metrics', async (_req, res) => {
      res.type(registry.contentType).send(await currentExposition());
    });
  }
  pages.use(errorPages());
  pages.use(openApiRoutes(() => openApiDocument(title, operations, serverUrl)));
  const guard = guardOperations(PAGES, { bodyLimitBytes: config.http.bodyLimitBytes, passUnknown: true });
  const own: RequestHandler = (req, res, next) => {
    if (!PAGES_FOR_PEOPLE.test(req.url))
      return guard(req, res, (error?: unknown) => (error === undefined ? pages(req, res, next) : next(error)));
    if (req.method !== 'GET' && req.method !== 'HEAD') return refuseMethod(res, 'GET, HEAD');
    return pages(req, res, next);
  };
  const limited = inTurn(pageLimit(config), own);
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

function routesOf({ config, log, routes, authenticate, operations, answered = operations, rawBodies = false }: ServiceOptions): Router {
  const router = express.Router();
  router.use(guardOperations(answered, { authenticate, bodyLimitBytes: config.http.bodyLimitBytes, passUnknown: rawBodies }));
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
    requireHostHeader: false,
  });
  const connections = new Connections(server, limits, trusts);
  const addressed = requireOneHost(app);
  server.on('request', (req, res) => connections.serve(req, res, addressed));
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
