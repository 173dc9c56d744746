import type { Request, Response } from 'express';

/** What Node reads and throws away after an answer; more is not taken in at all. */
const SMALL_BYTES = 65_536;
const LINGER_MS = 500;

/**
 * Sends the last of an answer. While a large body is still on its way, nothing more of it is read: closing at once would reset the
 * connection, and the caller's kernel could throw the answer away with it; so the whole answer goes out, and the connection ends a
 * moment later.
 */
export function answer(res: Response, text: string): void {
  if (!isUnread(res.req)) {
    res.send(text);
    return;
  }
  const body = Buffer.from(text);
  res.setHeader('Content-Length', body.length);
  res.setHeader('Connection', 'close');
  res.req.pause();
  res.write(body);
  const timer = setTimeout(() => res.end(), LINGER_MS);
  res.once('close', () => clearTimeout(timer));
}

const isUnread = (req: Request): boolean =>
  !req.complete && (req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > SMALL_BYTES);
