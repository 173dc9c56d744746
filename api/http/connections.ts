import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { networkOf } from './client-address.js';
import { problemText } from './client-error.js';
import { isDraining, onDraining } from './draining.js';

export interface ConnectionLimits {
  connections: number;
  /** Of one address (IPv6: /64) that is none of our own proxies or gateways */
  connectionsPerAddress: number;
  /** How long bytes of an answer may wait without any of them being taken. Milliseconds */
  stalledAnswerMs: number;
}

/** As config/http.ts has them: for servers without a configuration */
export const CONNECTION_LIMITS: ConnectionLimits = { connections: 10_000, connectionsPerAddress: 2_500, stalledAnswerMs: 30_000 };

interface Connection {
  answers: Set<ServerResponse>;
  /** When its last answer ended, or it began */
  idleSince: number;
  address: string | null;
  refused: boolean;
}

/** A caller that sends its next request at once has sent it by then; one that pauses longer expects kept connections to end. */
const IDLE_LINGER_MS = 250;
const IDLE_CHECK_MS = 50;
/** So long, and so many turns of the event loop, each of which takes one connection from the kernel's queue: nobody is left in it. */
const QUIET_MS = 30;
const QUIET_TURNS = 20;
const QUIET_LIMIT_MS = 500;

/**
 * What connections may cost, and how they end.
 *
 * An answer whose client takes nothing is cut after `stalledAnswerMs`. One that waits for its own source (a provider that
 * is silent) has no bytes waiting, and is left alone; slow senders of requests are cut by the server's own time limits.
 *
 * Draining: every answer says `Connection: close`, those in progress too, so that nobody sends another request on a connection
 * that is about to end. Idle ones are closed when their last answer was a moment ago, and after the poll that would have read
 * a request: closing one at once would cut the caller whose request is on its way.
 */
export class Connections {
  private readonly open = new Map<Socket, Connection>();
  private readonly byAddress = new Map<string, number>();
  private draining = false;
  /** Requests that wait while the server is about to stop listening; null: none have to */
  private held: (() => void)[] | null = null;
  private sweep: NodeJS.Timeout | undefined;
  private readonly forget: () => void;

  constructor(
    private readonly server: Server,
    private readonly limits: ConnectionLimits,
    /** Whether an address is one of our own proxies, through which everybody comes */
    private readonly trusts: (address: string) => boolean = () => false,
  ) {
    server.maxConnections = limits.connections;
    server.on('connection', (socket: Socket) => this.admit(socket));
    server.setTimeout(limits.stalledAnswerMs, (socket: Socket) => this.onSilence(socket));
    this.forget = onDraining(() => this.drain());
    if (isDraining()) this.drain();
  }

  /** Each request passes here before anything else. */
  serve(req: IncomingMessage, res: ServerResponse, app: RequestListener): void {
    const connection = this.open.get(req.socket);
    if (!connection || connection.refused) {
      req.socket.destroy();
      return;
    }
    if (this.draining) res.shouldKeepAlive = false;
    connection.answers.add(res);
    res.once('close', () => {
      connection.answers.delete(res);
      connection.idleSince = performance.now();
    });
    if (this.held) this.held.push(() => app(req, res));
    else app(req, res);
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const { answers } of this.open.values()) for (const res of answers) res.shouldKeepAlive = false;
    this.sweep = setInterval(() => setImmediate(() => this.closeIdle()), IDLE_CHECK_MS).unref();
  }

  /** Takes no more connections and waits for requests in flight, at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.drain();
    const timer = setTimeout(() => this.server.closeAllConnections(), graceMs);
    if (graceMs > 0) await this.untilNobodyConnects();
    // Not http's own close: that ends idle connections at once, also those whose next request has just been sent.
    const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(this.server, () => resolve()));
    this.release();
    await closed;
    clearTimeout(timer);
    clearInterval(this.sweep);
    this.forget();
    // Of a server that listens no more it only ends the check for slow senders.
    this.server.close(() => undefined);
  }

  private admit(socket: Socket): void {
    const from = networkOf(socket.remoteAddress ?? 'unknown');
    const address = this.trusts(socket.remoteAddress ?? '') ? null : from;
    const connection: Connection = { answers: new Set(), idleSince: performance.now(), address, refused: false };
    this.open.set(socket, connection);
    const others = address === null ? 0 : (this.byAddress.get(address) ?? 0);
    if (address !== null) this.byAddress.set(address, others + 1);
    socket.once('close', () => this.leave(socket, connection));
    if (others < this.limits.connectionsPerAddress) return;
    connection.refused = true;
    socket.end(refusal());
  }

  private leave(socket: Socket, { address }: Connection): void {
    this.open.delete(socket);
    if (address === null) return;
    const left = (this.byAddress.get(address) ?? 1) - 1;
    if (left > 0) this.byAddress.set(address, left);
    else this.byAddress.delete(address);
  }

  /** Nothing was read from or written to a connection for its time: that of a stalled answer, or between requests. */
  private onSilence(socket: Socket): void {
    const answers = this.open.get(socket)?.answers.size ?? 0;
    // With an error, or what was cut would count as sent.
    if (socket.writableLength > 0) socket.destroy(new Error('the client takes nothing of its answer'));
    else if (answers === 0) socket.destroy();
  }

  private closeIdle(): void {
    const now = performance.now();
    for (const [socket, { answers, idleSince }] of this.open) {
      if (answers.size === 0 && now - idleSince >= IDLE_LINGER_MS) socket.destroy();
    }
  }

  /**
   * Whoever is in the kernel's queue when the server stops listening would be cut with its request sent. Callers connect anew when
   * they have their answer, now that each is the last of its connection: so requests wait until nobody comes any more.
   */
  private async untilNobodyConnects(): Promise<void> {
    const startedAt = performance.now();
    let quietSince = startedAt;
    let turns = 0;
    const onConnection = () => {
      quietSince = performance.now();
      turns = 0;
    };
    this.server.on('connection', onConnection);
    this.held = [];
    for (let now = startedAt; (turns < QUIET_TURNS || now - quietSince < QUIET_MS) && now - startedAt < QUIET_LIMIT_MS; turns += 1) {
      await new Promise(setImmediate);
      now = performance.now();
    }
    this.server.off('connection', onConnection);
  }

  private release(): void {
    const waiting = this.held ?? [];
    this.held = null;
    for (const go of waiting) go();
  }
}

/** For a connection beyond its address's share: it is told before it asks. */
const refusal = () =>
  problemText('OVERLOADED', '503 Service Unavailable', 'This address has as many connections open as it may have', 'Retry-After: 1\r\n');
