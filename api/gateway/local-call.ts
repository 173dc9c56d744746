import type { Request, RequestHandler, Response } from 'express';
import { leaveBody } from '../http/json-body.js';
import { FAULT_ORIGIN, type ForwardResult } from './forwarder.js';

export interface LocalCall {
  body: Buffer;
  /** Until the answer's head */
  timeoutMs: number;
}

/**
 * Hands a request to a service of this process, which spares both the hop over the network stack and the second edge. The
 * service proves the caller itself as ever. Resolves when the answer's head is there, or there will be none. Never rejects.
 */
export function callLocally(service: RequestHandler, req: Request, res: Response, { body, timeoutMs }: LocalCall): Promise<ForwardResult> {
  return new Promise((settle) => {
    const { writeHead } = res;
    const restore = () => {
      clearTimeout(deadline);
      res.writeHead = writeHead;
    };
    // From then on the answer is the gateway's; what the service still says is thrown away with an error nobody hears.
    const expire = () => {
      restore();
      settle({ verdict: 'failure', fault: 'timeout' });
    };
    const deadline = setTimeout(expire, timeoutMs);
    res.writeHead = ((...head: Parameters<typeof writeHead>) => {
      restore();
      const unwell = res.statusCode >= 500 && !res.hasHeader(FAULT_ORIGIN);
      res.removeHeader(FAULT_ORIGIN);
      settle({ verdict: unwell ? 'failure' : 'success', fault: null });
      return writeHead.apply(res, head);
    }) as typeof writeHead;
    res.once('close', () => {
      restore();
      settle({ verdict: 'neutral', fault: null });
    });
    leaveBody(res, body);
    // An answer that breaks off must break off for the client too.
    void service(req, res, () => {
      if (res.headersSent && !res.writableEnded) res.destroy();
    });
  });
}
