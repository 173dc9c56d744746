import type { RequestHandler, Response } from 'express';
import { methodLabel, metrics } from '../../telemetry/metrics.js';

/** The pattern of the matched route, never the path itself: labels are a closed set. */
export function routeOf(service: string, res: Response): string {
  const forwarded = res.locals.forwarded as { by: string; as: string } | undefined;
  if (forwarded?.by === service) return forwarded.as;
  const path = (res.req.route as { path?: unknown } | undefined)?.path;
  return typeof path === 'string' ? path : '(other)';
}

/** For a request that goes on to another service, which in the same process sets a route of its own. */
export function forwardedAs(res: Response, by: string, pattern: string): void {
  res.locals.forwarded = { by, as: pattern };
}

/** Counts and times each answer, those that were cut off excepted: nobody waited for them. */
export function requestTimes(service: string): RequestHandler {
  return (req, res, next) => {
    const startedAt = performance.now();
    res.once('finish', () => {
      const seconds = (performance.now() - startedAt) / 1000;
      metrics.httpRequests.observe(seconds, service, routeOf(service, res), methodLabel(req.method), String(res.statusCode));
    });
    next();
  };
}
