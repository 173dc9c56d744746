import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { metrics } from '../../telemetry/metrics.js';
import { whenProduced } from '../http/answer-produced.js';
import { problemBody } from '../http/problem.js';

export interface DoorOptions {
  /** Consumptions inside that wait for this process before more are turned away */
  limit: number;
  /** Of these places, how many are kept for callers who have fewer than that inside themselves */
  callerShare: number;
  /** Of those inside, how many wait for a provider or for another's outcome at the moment: they cost nothing meanwhile */
  away: { all(): number; of(caller: string): number };
}

/** A request inside: until its answer has been produced and its outcome is known, whichever is later. */
interface Stay {
  answering: boolean;
  deciding: boolean;
}

const CONSUME = /^\/api\/v1\/tokens\/consume\/?(?:\?|$)/i;
const RETRY_AFTER_SECONDS = 1;

/**
 * Turns consumptions away before anything is done for them, so that what is refused past saturation takes next to nothing from
 * what is accepted, and the accepted ones wait for a bounded queue. Who asks is not known yet: such a refusal is counted, but
 * it is no usage event.
 *
 * Once it is known, a caller who has its share inside gets no more than what leaves as many places free for the others: alone, a
 * caller may have all the rest; with others beside it, nobody finds the door shut on its account.
 */
export class Door {
  private inside = 0;
  private readonly insideOf = new Map<string, number>();
  private readonly stays = new WeakMap<ServerResponse, Stay>();

  constructor(private readonly options: DoorOptions) {}

  /** False: the request has been answered. */
  admit(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.method !== 'POST' || !CONSUME.test(req.url ?? '')) return true;
    if (this.takesNoMore()) {
      turnAway(req, res);
      return false;
    }
    this.inside++;
    const stay: Stay = { answering: true, deciding: false };
    this.stays.set(res, stay);
    whenProduced(res, () => {
      stay.answering = false;
      this.leave(stay);
    });
    return true;
  }

  /**
   * Who asks is known. Whoever has left is inside for as long as its consumption goes on: it is still this process's work.
   *
   * @returns what to call when its outcome is known; null when the caller has its share inside
   */
  claim(caller: string, res: ServerResponse): (() => void) | null {
    const own = this.insideOf.get(caller) ?? 0;
    if (this.hasItsShare(caller)) {
      metrics.turnedAway.inc();
      return null;
    }
    this.insideOf.set(caller, own + 1);
    const stay = this.stays.get(res);
    if (stay) stay.deciding = true;
    return () => {
      const left = (this.insideOf.get(caller) ?? 1) - 1;
      if (left > 0) this.insideOf.set(caller, left);
      else this.insideOf.delete(caller);
      if (!stay) return;
      stay.deciding = false;
      this.leave(stay);
    };
  }

  /** Whether the request would be refused, for a gateway of this process to say so before it proves who asks. */
  isFull(req: IncomingMessage, caller: string): boolean {
    return req.method === 'POST' && CONSUME.test(req.url ?? '') && (this.takesNoMore() || this.hasItsShare(caller));
  }

  private takesNoMore(): boolean {
    return this.inside - this.options.away.all() >= this.options.limit;
  }

  private hasItsShare(caller: string): boolean {
    const { limit, callerShare, away } = this.options;
    const own = this.insideOf.get(caller) ?? 0;
    return own - away.of(caller) >= callerShare && this.inside - away.all() > limit - callerShare;
  }

  before(listener: RequestListener): RequestListener {
    return (req, res) => {
      if (this.admit(req, res)) listener(req, res);
    };
  }

  private leave({ answering, deciding }: Stay): void {
    if (!answering && !deciding) this.inside--;
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
