import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { ERRORS, Problem, type ErrorCode, type FieldError, type ProblemExtras } from '../../contracts/errors.js';
import { loggedPath } from './logged-path.js';
import { isOutage } from '../../platform/outages.js';
import type { Logger } from '../../telemetry/log.js';
import { answer } from './unread-body.js';
import { metrics } from '../../telemetry/metrics.js';

/** The last part of `type`, and of the address of the page about a code. */
export const slugOf = (code: ErrorCode): string => code.toLowerCase().replaceAll('_', '-');

let pages = '/errors/';

/** From now on problems of this process lead to the pages of the gateway, by the address that callers have. */
export function linkProblems(publicUrl: string): void {
  pages = `${publicUrl.replace(/\/$/, '')}/errors/`;
}

/** The body of every refusal and fault: RFC 9457 members plus the older `code`, `message`, `timestamp`, `path`. */
export function problemBody(code: ErrorCode, detail: string, path: string, correlationId: string, extras: ProblemExtras = {}) {
  metrics.problems.inc({ code });
  const { status, title } = ERRORS[code];
  const { retryAfterSeconds: _header, ...members } = extras;
  return {
    type: pages + slugOf(code),
    title,
    status,
    detail,
    code,
    message: detail,
    timestamp: new Date().toISOString(),
    path,
    correlationId,
    ...members,
  };
}

/**
 * Refusals with a 5xx status by a service that is itself well. The gateway's breaker does not hold them against it: open, it
 * would take away what still works, such as reading balances while the workflow engine is down.
 */
const FAULT_ORIGINS: Partial<Record<ErrorCode, 'provider' | 'engine' | 'load' | 'limits'>> = {
  PROVIDER_FAILED: 'provider',
  PROVIDER_TIMEOUT: 'provider',
  PROVIDER_UNAVAILABLE: 'provider',
  PROVIDER_RATE_LIMITED: 'provider',
  PROVIDER_QUOTA_EXHAUSTED: 'provider',
  ENGINE_UNAVAILABLE: 'engine',
  OVERLOADED: 'load',
  LIMITS_UNAVAILABLE: 'limits',
};

/** Whoever is told to wait is told how long, in words as well. */
function withWait(code: ErrorCode, detail: string, retryAfterSeconds: number | undefined): string {
  if (ERRORS[code].status !== 429 || retryAfterSeconds === undefined || /try again in \d+ s/.test(detail)) return detail;
  return `${detail}; try again in ${Math.max(1, Math.ceil(retryAfterSeconds))} s`;
}

/** Sends a problem; `retryAfterSeconds` becomes the Retry-After header (whole seconds, rounded up, at least 1). */
export function sendProblem(res: Response, code: ErrorCode, text: string, extras: ProblemExtras = {}): void {
  const detail = withWait(code, text, extras.retryAfterSeconds);
  if (extras.retryAfterSeconds !== undefined) res.setHeader('Retry-After', String(Math.max(1, Math.ceil(extras.retryAfterSeconds))));
  if (code === 'UNAUTHENTICATED') res.setHeader('WWW-Authenticate', 'Bearer realm="leaky-tokens"');
  const origin = FAULT_ORIGINS[code];
  if (origin) res.setHeader('X-Leaky-Fault-Origin', origin);
  res.setHeader('Cache-Control', 'no-store');
  res.status(ERRORS[code].status).type('application/problem+json');
  answer(res, JSON.stringify(problemBody(code, detail, res.req.originalUrl.split('?', 1)[0] ?? '/', res.locals.correlationId, extras)));
}

export const notFound: RequestHandler = (req, res) => {
  sendProblem(res, 'NOT_FOUND', `There is no ${req.method} ${req.path} here`);
};

/** Names of members may be the caller's own, and there may be as many complaints as members were sent. */
const MAX_ERRORS = 20;
const MAX_FIELD = 100;
const MAX_MESSAGE = 300;

function fieldErrors(error: z.ZodError): FieldError[] {
  return error.issues.slice(0, MAX_ERRORS).map((issue) => ({
    field: issue.path.slice(0, 10).map(String).join('.').slice(0, MAX_FIELD) || '(body)',
    message: issue.message.slice(0, MAX_MESSAGE),
  }));
}

/** Faults of express's own parsers and router carry an HTTP status and a `type`. */
function fromExpress(error: { type?: string; status?: number; limit?: number }): Problem | null {
  switch (error.type) {
    case 'entity.too.large':
      return new Problem('PAYLOAD_TOO_LARGE', `The body is larger than ${error.limit} bytes`);
    case 'entity.parse.failed':
      return new Problem('MALFORMED_JSON', 'The body could not be parsed as JSON');
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new Problem('UNSUPPORTED_MEDIA_TYPE', 'The content encoding or charset is not supported');
    default:
      return error.status !== undefined && error.status >= 400 && error.status < 500
        ? new Problem('INVALID_REQUEST', 'The request could not be read')
        : null;
  }
}

/** The one place that turns thrown things into HTTP. Nothing of an unexpected error reaches the caller. */
export function problemHandler(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const problem =
      error instanceof Problem
        ? error
        : error instanceof z.ZodError
          ? new Problem('INVALID_REQUEST', summary(error), { errors: fieldErrors(error) })
          : isOutage(error)
            ? new Problem(
                'SERVICE_UNAVAILABLE',
                'A store of this service does not answer; try again',
                { retryAfterSeconds: 1 },
                { cause: error },
              )
            : fromExpress(error as { type?: string; status?: number; limit?: number });
    if (problem) {
      if (problem.status >= 500) log.warn({ err: problem, correlationId: res.locals.correlationId }, problem.detail);
      sendProblem(res, problem.code, problem.detail, problem.extras);
      return;
    }
    log.error({ err: error, correlationId: res.locals.correlationId, method: req.method, path: loggedPath(req.path) }, 'unexpected error');
    sendProblem(res, 'INTERNAL', 'Something went wrong on our side; the correlation id identifies this request');
  };
}

function summary(error: z.ZodError): string {
  const [first] = fieldErrors(error);
  if (!first) return 'The request is not valid';
  const more = error.issues.length - 1;
  return `${first.field}: ${first.message}${more > 0 ? ` (and ${more} more)` : ''}`;
}
