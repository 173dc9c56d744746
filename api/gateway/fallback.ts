import type { Request, Response } from 'express';
import { Problem } from '../../contracts/errors.js';
import { text, z } from '../../contracts/http/common.js';
import type { Operation } from '../http/openapi.js';
import { problemBody } from '../http/problem.js';
import { SERVICE_NAMES, type ServiceName } from './ports.js';

/** The name a service gives itself in its status. */
export const publicName = (service: ServiceName): string => `${service === 'tokens' ? 'token' : service}-service`;

/**
 * 503 in both forms at once. `status` is the word "unavailable", as clients of the fallback expect; a reader of problem
 * documents ignores a member of another type (RFC 9457, 3.1) and has the status from the status line.
 */
export function sendUnavailable(req: Request, res: Response, service: ServiceName, retryAfterMs: number): void {
  const name = publicName(service);
  const path = req.originalUrl.split('?', 1)[0] ?? '/';
  res.setHeader('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  const body = problemBody('SERVICE_UNAVAILABLE', `${name} is unavailable at the moment`, path, res.locals.correlationId);
  res
    .status(503)
    .type('application/problem+json')
    .send(JSON.stringify({ ...body, service: name, status: 'unavailable' }));
}

const unavailable = z.looseObject({ service: z.string(), status: z.literal('unavailable'), message: z.string(), timestamp: z.string() });

export const fallbackOperation: Operation = {
  method: 'get',
  path: '/fallback/{service}',
  summary: 'What a caller gets while a service is unavailable',
  tag: 'gateway',
  public: true,
  params: z.object({ service: text({ max: 50 }) }),
  responses: { 503: { description: 'The service is unavailable', schema: unavailable }, 404: { description: 'No such service' } },
};

/** @throws Problem NOT_FOUND */
export function sendFallback(req: Request, res: Response, retryAfterMs: number): void {
  const asked = req.params['service'];
  const service = SERVICE_NAMES.find((name) => name === asked || publicName(name) === asked);
  if (!service) throw new Problem('NOT_FOUND', 'There is no such service');
  sendUnavailable(req, res, service, retryAfterMs);
}
