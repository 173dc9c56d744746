import type { Request, RequestHandler } from 'express';
import { methodLabel, metrics } from '../../telemetry/metrics.js';

/** The pattern of the matched route, never the path itself: labels are a closed set. */
export function routeOf(req: Request): string {
  const path = (req.route as { path?: unknown } | undefined)?.path;
  return typeof path === 'string' ? path : '(other)';
}

/** Counts and times each answer, those that were cut off excepted: nobody waited for them. */
export function requestTimes(service: string): RequestHandler {
  return (req, res, next) => {
    const startedAt = performance.now();
    res.once('finish', () => {
      const seconds = (performance.now() - startedAt) / 1000;
      metrics.httpRequests.observe(seconds, service, routeOf(req), methodLabel(req.method), String(res.statusCode));
    });
    next();
  };
}
