import type { Request, RequestHandler, Response } from 'express';
import type { IncomingMessage } from 'node:http';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { Logger } from '../../telemetry/log.js';
import { BREAKER_LEVEL, metrics } from '../../telemetry/metrics.js';
import type { Authenticator } from '../http/authenticate.js';
import type { Caller } from '../http/caller.js';
import { isPlainUtf8 } from '../http/json-body.js';
import { forwardedAs } from '../http/request-times.js';
import { readBody, refuseUnreadBody, ClientGone } from './body.js';
import { BREAKER_DEFAULTS, BreakerOpen, ServiceBreaker, type BreakerSettings } from './breaker.js';
import { Bulkhead, BulkheadFull } from './bulkhead.js';
import { createCallerGate } from './callers.js';
import { createDispatch } from './dispatch.js';
import { sendUnavailable } from './fallback.js';
import type { Forwarder } from './forwarder.js';
import { callLocally } from './local-call.js';
import { applyRequestRule, applyResponseRule, cleanRequestHeaders, cleanResponseHeaders, rewritePath, type RouteRule } from './headers.js';
import { SERVICE_NAMES, type RateLimitStore, type ServiceName, type ServiceResolver } from './ports.js';
import { createRateLimiter } from './rate-limit.js';
import { longestPrefix, publicRouteOf, routeOf, safePath, waitsForProvider } from './routes.js';

export interface GatewayDeps {
  config: Config;
  log: Logger;
  authenticator: Pick<Authenticator, 'identify'>;
  limits: RateLimitStore;
  services: ServiceResolver;
  /** Services of this very process: they are called without a hop */
  local?: ReadonlyMap<ServiceName, RequestHandler>;
  forwarder: Forwarder;
  breaker?: Partial<BreakerSettings>;
}

const WAITING_PER_PLACE = 10;

/** The time a provider may take with all its attempts and the doubling waits between them. */
export function providerAllowanceMs({ timeoutMs, attempts, backoffMs }: Config['providers']): number {
  return timeoutMs * attempts + backoffMs * (2 ** (attempts - 1) - 1);
}

/** The whole way of a request: checked path, caller, limit, body, breaker and bulkhead of the service, and on. */
export function createGatewayHandler(deps: GatewayDeps): RequestHandler {
  const { config, log } = deps;
  const dispatch = createDispatch(deps.services, deps.forwarder);
  const limiter = createRateLimiter(config, deps.limits, log);
  const prove = createCallerGate(deps.authenticator, limiter);
  const guards = new Map(SERVICE_NAMES.map((name) => [name, createGuard(name, deps)]));
  const rules = Object.entries(config.gateway.routeRules).map(([prefix, rule]) => [prefix.toLowerCase(), rule] as const);
  const allowanceMs = providerAllowanceMs(config.providers);

  /** Who calls, and under which credential the request goes on. Null: a public route. */
  async function identify(req: Request, res: Response, path: string): Promise<Caller | null> {
    const open = publicRouteOf(req.method, path);
    if (open) {
      if (!open.keepApiKey) delete req.headers['x-api-key'];
      return null;
    }
    const { caller, internalJwt } = await prove(req, res);
    delete req.headers['x-api-key'];
    req.headers.authorization = `Bearer ${internalJwt}`;
    return caller;
  }

  async function send(req: Request, res: Response, service: ServiceName, timeoutMs: number, body: Buffer, rule: RouteRule | undefined) {
    const { breaker, bulkhead } = guards.get(service) ?? createGuard(service, deps);
    const local = rule === undefined && isPlainUtf8(req) ? deps.local?.get(service) : undefined;
    breaker.check();
    const leave = await bulkhead.enter();
    res.once('close', leave);
    if (res.closed || res.destroyed) return leave();
    cleanRequestHeaders(req);
    if (body.length > 0 || req.headers['transfer-encoding'] !== undefined) setLength(req, body);
    if (rule) {
      applyRequestRule(req, rule);
      req.url = rewritePath(req.url, rule);
    }
    const onAnswer = (answer: IncomingMessage) => {
      cleanResponseHeaders(answer);
      // Without it the library would repeat the request's header. The client has asked to close it, or this server is about to end.
      answer.headers.connection = res.shouldKeepAlive ? 'keep-alive' : 'close';
      if (rule) applyResponseRule(answer, rule);
    };
    const { fault } = await breaker.execute(() =>
      local ? callLocally(local, req, res, { body, timeoutMs }) : dispatch(req, res, service, { body, timeoutMs, onAnswer }),
    );
    if (fault === null || res.headersSent) return undefined;
    if (fault === 'timeout') throw new Problem('GATEWAY_TIMEOUT', `The service did not answer within ${timeoutMs} ms`);
    return sendUnavailable(req, res, service, 1_000);
  }

  return async (req, res, next) => {
    // Services match paths in any case and with or without the last slash; so must everything that is decided by path here.
    const path = safePath(req.url)
      .toLowerCase()
      .replace(/(?<=.)\/$/, '');
    const route = routeOf(path);
    if (!route) {
      await limiter.limit(req, res, path, null);
      return next();
    }
    // Labels of the metrics: the pattern, never the path. A service of this process has a route of its own.
    forwardedAs(res, 'gateway', `${route.prefix}/**`);
    try {
      const caller = await identify(req, res, path);
      await limiter.limit(req, res, path, caller);
      const body = await readBody(req, config.http.bodyLimitBytes);
      const timeoutMs = config.gateway.serviceTimeoutMs + (waitsForProvider(req.method, path) ? allowanceMs : 0);
      await send(req, res, route.service, timeoutMs, body, longestPrefix(rules, path)?.[1]);
    } catch (error) {
      if (error instanceof ClientGone || res.destroyed) return;
      if (error instanceof BreakerOpen) sendUnavailable(req, res, route.service, error.retryAfterMs);
      else if (error instanceof BulkheadFull) {
        throw new Problem('OVERLOADED', 'Too many calls to this service are in progress', { retryAfterSeconds: 1 }, { cause: error });
      } else if (error instanceof Problem && error.code === 'PAYLOAD_TOO_LARGE') refuseUnreadBody(req, res, error);
      else throw error;
    }
  };
}

function setLength(req: Request, body: Buffer): void {
  delete req.headers['transfer-encoding'];
  req.headers['content-length'] = String(body.length);
}

function createGuard(service: ServiceName, { config, log, breaker }: GatewayDeps) {
  const { bulkhead, bulkheadWaitMs } = config.gateway;
  return {
    bulkhead: new Bulkhead({ calls: bulkhead, queue: bulkhead * WAITING_PER_PLACE, waitMs: bulkheadWaitMs }),
    breaker: new ServiceBreaker({ ...BREAKER_DEFAULTS, ...breaker }, (state) => {
      metrics.breakerState.set({ service }, BREAKER_LEVEL[state]);
      if (state !== 'closed') log.warn({ service, state }, 'circuit breaker');
      else log.debug({ service, state }, 'circuit breaker');
    }),
  };
}
