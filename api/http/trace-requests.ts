import type { RequestHandler } from 'express';
import type { Tracer } from '../../telemetry/tracing.js';
import { loggedPath } from './logged-path.js';
import { routeOf } from './request-times.js';

const NOT_TRACED = /^\/(?:health|metrics|docs)(?:\/|$)/;

export interface TraceRequestsOptions {
  service: string;
  /** Whether the caller's trace is gone on with */
  takeParent: boolean;
}

/**
 * A span for each request: a part of the caller's trace, or the beginning of one. Whoever the request is passed on to finds this
 * span in its headers, in place of the caller's.
 */
export function traceRequests(tracer: Tracer, { service, takeParent }: TraceRequestsOptions): RequestHandler {
  return (req, res, next) => {
    const path = loggedPath(req.url);
    if (NOT_TRACED.test(path)) return next();
    const { method } = req;
    const attributes = {
      'leaky.service': service,
      'leaky.correlation_id': res.locals.correlationId,
      'http.request.method': method,
      'url.path': path.slice(0, 200),
    };
    tracer.served(takeParent ? req.headers : {}, { kind: 'server', attributes }, (span) => {
      delete req.headers['tracestate'];
      Object.assign(req.headers, tracer.headers());
      res.once('close', () => {
        const route = routeOf(service, res);
        const { consumptionId, caller } = res.locals;
        span.rename(`${method} ${route}`);
        span.end(
          {
            'http.route': route,
            'http.response.status_code': res.statusCode,
            ...(caller && { 'leaky.user_id': caller.userId }),
            ...(consumptionId !== undefined && { 'leaky.consumption_id': consumptionId }),
            ...(!res.writableFinished && { 'leaky.cut_off': true }),
          },
          res.statusCode >= 500,
        );
      });
      next();
    });
  };
}
