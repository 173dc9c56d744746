import type { RequestHandler } from 'express';
import { randomUUID } from 'node:crypto';

const ACCEPTED = /^[\w.:-]{1,64}$/;

/** Takes the caller's X-Correlation-Id when it is short and printable (it ends up in logs and search attributes), else makes one. */
export const correlationId: RequestHandler = (req, res, next) => {
  const sent = req.headers['x-correlation-id'];
  const id = typeof sent === 'string' && ACCEPTED.test(sent) ? sent : randomUUID();
  req.headers['x-correlation-id'] = id;
  res.locals.correlationId = id;
  res.setHeader('X-Correlation-Id', id);
  next();
};
