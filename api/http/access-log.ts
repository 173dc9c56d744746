import type { RequestHandler } from 'express';
import type { Logger } from '../../telemetry/log.js';
import { loggedPath } from './logged-path.js';
import { routeOf } from './request-times.js';

const MAX_PATH = 200;

/**
 * One line for each request when its answer is out or its caller is gone. The path without its query, which may hold what a
 * log must not; who called, by id, once that was proven.
 */
export function accessLog(service: string, log: Logger, level: 'trace' | 'debug' | 'info'): RequestHandler {
  return (req, res, next) => {
    const startedAt = performance.now();
    const path = loggedPath(req.url);
    res.once('close', () => {
      log[level](
        {
          service,
          method: req.method,
          path: path.length > MAX_PATH ? `${path.slice(0, MAX_PATH)}…` : path,
          route: routeOf(service, res),
          status: res.statusCode,
          ms: Math.round((performance.now() - startedAt) * 10) / 10,
          correlationId: res.locals.correlationId,
          userId: res.locals.caller?.userId,
          consumptionId: res.locals.consumptionId,
          ...(!res.writableFinished && { cutOff: true }),
        },
        'request',
      );
    });
    next();
  };
}
