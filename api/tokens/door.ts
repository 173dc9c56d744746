import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { metrics } from '../../telemetry/metrics.js';
import { problemBody } from '../http/problem.js';

export interface DoorOptions {
  /** Consumptions inside that wait for this process before more are turned away */
  limit: number;
  /** Of those inside, how many wait for their provider at the moment: they cost nothing meanwhile */
  away: () => number;
}

const CONSUME = /^\/api\/v1\/tokens\/consume\/?(?:\?|$)/i;
const RETRY_AFTER_SECONDS = 1;

/**
 * Turns consumptions away before anything is done for them, so that what is refused past saturation takes next to nothing from
 * what is accepted, and the accepted ones wait for a bounded queue. Who asks is not known yet: such a refusal is counted, but
 * it is no usage event.
 */
export class Door {
  private inside = 0;

  constructor(private readonly options: DoorOptions) {}

  /** False: the request has been answered. */
  admit(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.method !== 'POST' || !CONSUME.test(req.url ?? '')) return true;
    if (this.inside - this.options.away() >= this.options.limit) {
      turnAway(req, res);
      return false;
    }
    this.inside++;
    res.once('close', () => this.inside--);
    return true;
  }

  before(listener: RequestListener): RequestListener {
    return (req, res) => {
      if (this.admit(req, res)) listener(req, res);
    };
  }
}

function turnAway(req: IncomingMessage, res: ServerResponse): void {
  metrics.turnedAway.inc();
  const detail = 'This service has as much in progress as it can take; nothing was charged';
  // A gateway of this process has set it already.
  const correlationId = (res.getHeader('X-Correlation-Id') as string | undefined) ?? randomUUID();
  const body = JSON.stringify(problemBody('OVERLOADED', detail, req.url?.split('?', 1)[0] ?? '/', correlationId));
  res.statusCode = 503;
  res.setHeader('Content-Type', 'application/problem+json; charset=utf-8');
  res.setHeader('Content-Length', Buffer.byteLength(body));
  res.setHeader('Retry-After', RETRY_AFTER_SECONDS);
  res.setHeader('X-Correlation-Id', correlationId);
  res.setHeader('X-Leaky-Fault-Origin', 'load');
  res.end(body);
}
