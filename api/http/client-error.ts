import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../../contracts/errors.js';
import { problemBody } from './problem.js';

const CODES: Record<string, { code: ErrorCode; status: string; detail: string }> = {
  HPE_HEADER_OVERFLOW: { code: 'INVALID_REQUEST', status: '431 Request Header Fields Too Large', detail: 'The headers are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'INVALID_REQUEST', status: '408 Request Timeout', detail: 'The request did not arrive in time' },
};

/** Answers what Node's HTTP parser gives up on, before there is a request to route, in the one error shape. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const known = CODES[error.code ?? ''] ?? { code: 'INVALID_REQUEST', status: '400 Bad Request', detail: 'The request is not valid HTTP' };
  socket.end(problemText(known.code, known.status, known.detail));
}

/** A whole answer, for where there is no request to answer or it is not read. `headers`: lines that end in CRLF */
export function problemText(code: ErrorCode, statusLine: string, detail: string, headers = ''): string {
  const correlationId = randomUUID();
  const status = Number.parseInt(statusLine, 10);
  const body = JSON.stringify({ ...problemBody(code, detail, '/', correlationId), status });
  return (
    `HTTP/1.1 ${statusLine}\r\nContent-Type: application/problem+json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
    `${headers}X-Correlation-Id: ${correlationId}\r\nConnection: close\r\n\r\n${body}`
  );
}
