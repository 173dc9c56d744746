import type { IncomingMessage, RequestListener } from 'node:http';
import { randomUUID } from 'node:crypto';
import { problemBody } from './problem.js';

const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[0-9a-f:.%]+\])(?::\d{0,5})?$/i;

/**
 * Refuses requests that do not say once, and well-formed, whom they are for (RFC 9112, 3.2): two servers on the way could read
 * such a one differently. Node keeps the first of two Host headers and says nothing.
 */
export function requireOneHost(listener: RequestListener): RequestListener {
  return (req, res) => {
    const detail = faultOf(req);
    if (detail === null) return listener(req, res);
    const correlationId = randomUUID();
    const body = JSON.stringify(problemBody('INVALID_REQUEST', detail, req.url?.split('?', 1)[0] ?? '/', correlationId));
    res.writeHead(400, {
      'Content-Type': 'application/problem+json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Correlation-Id': correlationId,
      Connection: 'close',
    });
    res.end(body);
  };
}

function faultOf({ rawHeaders, headers: { host }, httpVersion }: IncomingMessage): string | null {
  if (host === undefined) return httpVersion === '1.0' ? null : 'The Host header is missing';
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  if (count > 1) return 'There is more than one Host header';
  return HOST.test(host) ? null : 'The Host header is not valid';
}
