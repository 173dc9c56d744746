import { isUtf8 } from 'node:buffer';
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { Problem } from '../../contracts/errors.js';

/** Where a gateway of the same process leaves the body that it has read. */
export function leaveBody(res: Response, bytes: Buffer): void {
  res.locals.bodyBytes = bytes;
}

const OTHER_CHARSET = /charset\s*=\s*(?!"?utf-?8"?\s*(?:;|$))/i;

/** True for a body that can be left: what the service would have to inflate, or refuse for its charset, it reads itself. */
export function isPlainUtf8(req: Request): boolean {
  const { 'content-encoding': encoding, 'content-type': type = '' } = req.headers;
  return (encoding === undefined || encoding === 'identity') && !OTHER_CHARSET.test(type);
}

/** Parses JSON bodies. One that is something else would be ignored by a parser and look like a missing one; say so instead. */
export function jsonBody(limitBytes: number): RequestHandler {
  const read = express.raw({ limit: limitBytes, type: () => true });
  return (req, res, next) => {
    const left = res.locals.bodyBytes as Buffer | undefined;
    const hasBody = left
      ? left.length > 0
      : req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
    if (!hasBody) return next();
    if (!req.is(['json', '+json'])) throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json');
    if (OTHER_CHARSET.test(req.headers['content-type'] ?? '')) throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'Send the body in UTF-8');
    if (left) return parseInto(req, left, next);
    return read(req, res, (error?: unknown) => (error === undefined ? parseInto(req, req.body as Buffer, next) : next(error)));
  };
}

/** Called back from a stream, where nobody catches: a fault goes to `next`. */
function parseInto(req: Request, bytes: Buffer, next: NextFunction): void {
  try {
    req.body = bytes.length > 0 ? parsed(bytes) : undefined;
  } catch (error) {
    return next(error);
  }
  next();
}

/** Objects and lists only, as the parser's strict form has it. */
function parsed(bytes: Buffer): unknown {
  // Decoded all the same, it would be another text than the one that was sent.
  if (!isUtf8(bytes)) throw new Problem('MALFORMED_JSON', 'The body is not valid UTF-8');
  const text = bytes.toString('utf8').trimStart();
  try {
    if (text.startsWith('{') || text.startsWith('[')) return JSON.parse(text);
  } catch (cause) {
    throw new Problem('MALFORMED_JSON', MALFORMED, {}, { cause });
  }
  throw new Problem('MALFORMED_JSON', MALFORMED);
}

const MALFORMED = 'The body could not be parsed as JSON';
