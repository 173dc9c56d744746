import type { RequestHandler, Response } from 'express';
import { jsonBody } from './json-body.js';
import type { Operation } from './openapi.js';
import { createOperationTable } from './operation-table.js';
import { checkQuery } from './query.js';
import { sendProblem } from './problem.js';

export interface GuardOptions {
  /** Proves who calls what is not public; unset: nothing here needs it */
  authenticate?: RequestHandler | undefined;
  bodyLimitBytes: number;
  /** What is not declared goes on untouched: somebody else answers it */
  passUnknown?: boolean;
}

/** Below these, callers of a service are proven before they are told that there is nothing: so does the gateway. */
const SERVICE_PATHS = /^\/(?:api\/v1|oauth2|v1)(?:\/|$)/i;

/**
 * What holds for every declared operation, in the order of its cost: the method, who calls, the query, and only then the body.
 * Nobody's body is read before it is known who sends it, unless the operation is public.
 */
export function guardOperations(
  operations: readonly Operation[],
  { authenticate, bodyLimitBytes, passUnknown = false }: GuardOptions,
): RequestHandler {
  const find = createOperationTable(operations);
  const readBody = jsonBody(bodyLimitBytes);
  return (req, res, next) => {
    const found = find(req.method, req.path);
    if (found === null) {
      if (passUnknown) return next();
      if (!authenticate) return readBody(req, res, next);
      if (!SERVICE_PATHS.test(req.path)) return next();
      return authenticate(req, res, (error?: unknown) => (error === undefined ? readBody(req, res, next) : next(error)));
    }
    if ('allow' in found) return refuseMethod(res, found.allow);
    const { operation } = found;
    const proceed = (error?: unknown) => {
      if (error !== undefined) return next(error);
      try {
        checkQuery(req.url, operation);
        return readBody(req, res, next);
      } catch (fault) {
        return next(fault);
      }
    };
    return operation.public || !authenticate ? proceed() : authenticate(req, res, proceed);
  };
}

export function refuseMethod(res: Response, allow: string): void {
  res.setHeader('Allow', allow);
  sendProblem(res, 'METHOD_NOT_ALLOWED', `${res.req.method} is not possible here; allowed: ${allow}`);
}
