import cors from 'cors';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import helmet from 'helmet';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Config } from '../../config.js';

/** Handlers one after the other as a single one, which spares each request the router's matching between them. */
export function inTurn(...handlers: readonly RequestHandler[]): RequestHandler {
  return handlers.reduceRight<RequestHandler>(
    (rest, handler) => (req, res, next) =>
      handler(req, res, (error?: unknown) => (error === undefined ? rest(req, res, next) : next(error))),
    (_req, _res, next) => next(),
  );
}

/** What browsers make of answers that are data: nothing runs, nothing is framed. Headers that only pages need are left out. */
export const securityHeaders: RequestHandler = setting(
  fixedHeaders(
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] } },
      originAgentCluster: false,
      xDnsPrefetchControl: false,
      xDownloadOptions: false,
      xPermittedCrossDomainPolicies: false,
      xXssProtection: false,
    }),
  ),
);

const EXPOSED_HEADERS = [
  'X-Correlation-Id',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Link',
  'Allow',
  'ETag',
  'Idempotent-Replayed',
  'Location',
  'WWW-Authenticate',
];

/** CORS. Whoever sends no Origin gets what anybody without one gets. */
export function crossOrigin({ http }: Pick<Config, 'http'>, { credentials }: { credentials: boolean }): RequestHandler {
  const decide = cors({
    origin: http.corsOrigins.includes('*') ? '*' : http.corsOrigins,
    credentials,
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: 600,
  });
  const withoutOrigin = setting(fixedHeaders(decide));
  return (req, res, next) =>
    req.headers.origin === undefined && req.method !== 'OPTIONS' ? withoutOrigin(req, res, next) : decide(req, res, next);
}

type HeaderSetter = (req: IncomingMessage & Request, res: ServerResponse & Response, next: NextFunction) => void;

/** The headers that a middleware sets on the answer to a bare GET. Asked once, where they are the same for every request. */
function fixedHeaders(middleware: HeaderSetter): [name: string, value: string][] {
  const req = Object.assign(new IncomingMessage(new Socket()), { method: 'GET', url: '/' });
  const res = new ServerResponse(req);
  middleware(req as IncomingMessage & Request, res as ServerResponse & Response, () => undefined);
  return Object.entries(res.getHeaders()).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
}

function setting(headers: readonly [name: string, value: string][]): RequestHandler {
  return (_req, res, next) => {
    for (const [name, value] of headers) res.setHeader(name, value);
    next();
  };
}
