import express, { type Request, type RequestHandler, type Response } from 'express';
import { Problem } from '../../contracts/errors.js';

/** Where a gateway of the same process leaves the body that it has read. */
export function leaveBody(res: Response, bytes: Buffer): void {
  res.locals.bodyBytes = bytes;
}

/** True for a body that can be left: what the parser would have to inflate or decode by a charset it must read itself. */
export function isPlainUtf8(req: Request): boolean {
  const { 'content-encoding': encoding, 'content-type': type = '' } = req.headers;
  return (encoding === undefined || encoding === 'identity') && !/charset\s*=\s*(?!"?utf-8"?\s*(?:;|$))/i.test(type);
}

/** Parses JSON bodies. One that is something else would be ignored by the parser and look like a missing one; say so instead. */
export function jsonBody(limitBytes: number): RequestHandler {
  const parse = express.json({ limit: limitBytes, strict: true });
  return (req, res, next) => {
    const bytes = res.locals.bodyBytes as Buffer | undefined;
    const hasBody = bytes
      ? bytes.length > 0
      : req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
    if (hasBody && !req.is(['json', '+json'])) throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json');
    if (!bytes) return parse(req, res, next);
    req.body = bytes.length > 0 ? parsed(bytes) : undefined;
    next();
  };
}

/** Objects and lists only, as the parser's strict form has it. */
function parsed(bytes: Buffer): unknown {
  const text = bytes.toString('utf8').trimStart();
  try {
    if (text.startsWith('{') || text.startsWith('[')) return JSON.parse(text);
  } catch (cause) {
    throw new Problem('MALFORMED_JSON', MALFORMED, {}, { cause });
  }
  throw new Problem('MALFORMED_JSON', MALFORMED);
}

const MALFORMED = 'The body could not be parsed as JSON';
