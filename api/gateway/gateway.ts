import type { Request, RequestHandler, Response } from 'express';
import type { IncomingMessage } from 'node:http';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { Logger } from '../../telemetry/log.js';
import { BREAKER_LEVEL, metrics } from '../../telemetry/metrics.js';
import type { Authenticator } from '../http/authenticate.js';
import { NoPlace, type SharedPlaces } from '../../platform/shared-places.js';
import { whenProduced } from '../http/answer-produced.js';
import { withOriginOf } from '../http/caching.js';
import { shareKeyOf, type Caller } from '../http/caller.js';
import { addressOf } from '../http/client-address.js';
import { refuseMethod } from '../http/guard.js';
import { isPlainUtf8 } from '../http/json-body.js';
import type { Operation } from '../http/openapi.js';
import { createOperationTable } from '../http/operation-table.js';
import { sendProblem } from '../http/problem.js';
import type { LocalService } from '../http/service.js';
import { forwardedAs } from '../http/request-times.js';
import { createServiceFetch } from '../http/service-fetch.js';
import { readBody, ClientGone } from './body.js';
import { BREAKER_DEFAULTS, BreakerOpen, ServiceBreaker, type BreakerSettings } from './breaker.js';
import { createCallerGate } from './callers.js';
import { createDispatch } from './dispatch.js';
import { sendUnavailable } from './fallback.js';
import { isStream, type Forwarder } from './forwarder.js';
import { callLocally } from './local-call.js';
import { applyRequestRule, applyResponseRule, cleanRequestHeaders, cleanResponseHeaders, rewritePath, type RouteRule } from './headers.js';
import { SERVICE_NAMES, type RateLimitStore, type ServiceName, type ServiceResolver } from './ports.js';
import { createPlaces } from './places.js';
import { createRateLimiter } from './rate-limit.js';
import { RecoveryWatch } from './recovery.js';
import { longestPrefix, publicRouteOf, routeOf, safePath, waitsForProvider } from './routes.js';

interface Call {
  service: ServiceName;
  timeoutMs: number;
  body: Buffer;
  rule: RouteRule | undefined;
  places: SharedPlaces;
  /** Whose share of the places it takes */
  share: string;
}

export interface GatewayDeps {
  config: Config;
  log: Logger;
  authenticator: Pick<Authenticator, 'identify'>;
  limits: RateLimitStore;
  services: ServiceResolver;
  /** What the services offer. A path that is not among them is passed on all the same: a service may be newer than its gateway. */
  operations?: readonly Operation[];
  /** Services of this very process: they are called without a hop */
  local?: ReadonlyMap<ServiceName, LocalService>;
  forwarder: Forwarder;
  breaker?: Partial<BreakerSettings>;
}

/** The time a provider may take with all its attempts and the doubling waits between them. */
export function providerAllowanceMs({ timeoutMs, attempts, backoffMs }: Config['providers']): number {
  return timeoutMs * attempts + backoffMs * (2 ** (attempts - 1) - 1);
}

/** The whole way of a request: checked path, caller, limit, body, breaker and bulkhead of the service, and on. */
export function createGatewayHandler(deps: GatewayDeps): RequestHandler {
  const { config, log } = deps;
  const dispatch = createDispatch(deps.services, deps.forwarder);
  const limiter = createRateLimiter(config, deps.limits, log);
  const places = createPlaces(config);
  const gate = createCallerGate(deps.authenticator, limiter, places.proving);
  const guards = new Map(SERVICE_NAMES.map((name) => [name, createGuard(name, deps)]));
  const rules = Object.entries(config.gateway.routeRules).map(([prefix, rule]) => [prefix.toLowerCase(), rule] as const);
  const allowanceMs = providerAllowanceMs(config.providers);
  const find = createOperationTable(deps.operations ?? []);

  /** Who calls, and under which credential the request goes on. Null: a public route. */
  async function identify(req: Request, res: Response, path: string): Promise<Caller | null> {
    const open = publicRouteOf(req.method, path);
    if (open) {
      if (!open.keepApiKey) delete req.headers['x-api-key'];
      return null;
    }
    const { caller, internalJwt } = await gate.prove(req, res);
    delete req.headers['x-api-key'];
    req.headers.authorization = `Bearer ${internalJwt}`;
    return caller;
  }

  /** What can't be taken is refused before anything is done for it, so that refusals take next to nothing from what is accepted. */
  function shed(req: Request, res: Response, service: ServiceName, shared: SharedPlaces): boolean {
    const share = gate.shareBefore(req);
    if (places.hasRoom(shared, share) && deps.local?.get(service)?.isFull?.(req, share) !== true) return false;
    metrics.shed.inc({ service });
    sendProblem(res, 'OVERLOADED', FULL, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    return true;
  }

  async function send(req: Request, res: Response, call: Call): Promise<void> {
    const { service, timeoutMs, body, rule } = call;
    const breaker = guards.get(service)!;
    const local = rule === undefined && isPlainUtf8(req) ? deps.local?.get(service) : undefined;
    breaker.check();
    const leave = await call.places.enter(call.share);
    whenProduced(res, leave);
    if (res.closed || res.destroyed) return leave();
    cleanRequestHeaders(req);
    if (body.length > 0 || req.headers['transfer-encoding'] !== undefined) setLength(req, body);
    if (rule) {
      applyRequestRule(req, rule);
      req.url = rewritePath(req.url, rule);
    }
    const onAnswer = (answer: IncomingMessage) => {
      cleanResponseHeaders(answer);
      const varies = withOriginOf(res, answer.headers.vary);
      res.removeHeader('Vary');
      if (varies !== undefined) answer.headers.vary = varies;
      // From then on it is the client that is waited for, not the service.
      if (!isStream(answer)) answer.once('pause', leave);
      // Without it the library would repeat the request's header. The client has asked to close it, or this server is about to end.
      answer.headers.connection = res.shouldKeepAlive ? 'keep-alive' : 'close';
      if (rule) applyResponseRule(answer, rule);
    };
    const { fault } = await breaker.execute(() =>
      local ? callLocally(local, req, res, { body, timeoutMs }) : dispatch(req, res, service, { body, timeoutMs, onAnswer }),
    );
    if (fault === null || res.headersSent) return;
    if (fault === 'timeout') throw new Problem('GATEWAY_TIMEOUT', `The service did not answer within ${timeoutMs} ms`);
    sendUnavailable(req, res, service, 1_000);
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
    const { service } = route;
    // Labels of the metrics: the pattern, never the path. A service of this process has a route of its own.
    forwardedAs(res, 'gateway', `${route.prefix}/**`);
    try {
      const shared = places.of(service, req.method, path);
      if (shed(req, res, service, shared)) return;
      const rule = longestPrefix(rules, path)?.[1];
      const found = rule?.rewritePath ? null : find(req.method, path);
      if (found && 'allow' in found) {
        await limiter.limit(req, res, path, null);
        return refuseMethod(res, found.allow);
      }
      const caller = await identify(req, res, path);
      await limiter.limit(req, res, path, caller);
      const body = await readBody(req, config.http.bodyLimitBytes);
      const timeoutMs = config.gateway.serviceTimeoutMs + (waitsForProvider(req.method, path) ? allowanceMs : 0);
      const share = caller ? shareKeyOf(caller) : addressOf(req);
      await send(req, res, { service, timeoutMs, body, rule, places: shared, share });
    } catch (error) {
      if (error instanceof ClientGone || res.destroyed) return;
      if (error instanceof BreakerOpen) sendUnavailable(req, res, service, error.retryAfterMs);
      else if (error instanceof NoPlace) sendProblem(res, 'OVERLOADED', wordsFor(error), { retryAfterSeconds: RETRY_AFTER_SECONDS });
      else throw error;
    }
  };
}

const RETRY_AFTER_SECONDS = 1;
const FULL = 'There is as much in progress as can be taken; nothing was done and nothing charged';
const wordsFor = ({ taken }: NoPlace) =>
  taken === 'share' ? 'You have as many calls in progress as one caller may have' : 'Too many calls to this service are in progress';

function setLength(req: Request, body: Buffer): void {
  delete req.headers['transfer-encoding'];
  req.headers['content-length'] = String(body.length);
}

function createGuard(service: ServiceName, { log, breaker: settings, services }: GatewayDeps): ServiceBreaker {
  const watch = new RecoveryWatch(createServiceFetch(services, service), () => breaker.tryNow());
  const breaker = new ServiceBreaker({ ...BREAKER_DEFAULTS, ...settings }, (state) => {
    watch.onState(state);
    metrics.breakerState.set({ service }, BREAKER_LEVEL[state]);
    if (state !== 'closed') log.warn({ service, state }, 'circuit breaker');
    else log.debug({ service, state }, 'circuit breaker');
  });
  return breaker;
}
