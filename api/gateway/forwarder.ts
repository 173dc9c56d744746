import type { Request, Response } from 'express';
import { createProxyServer, type ServerOptions } from 'http-proxy-3';
import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { nothingSent } from '../http/services.js';
import { BodyBytes } from './body.js';
import type { Verdict } from './breaker.js';

export interface ForwardOptions {
  target: URL;
  body: Buffer;
  /** Until the answer is complete; for a stream, until its head and then between its parts */
  timeoutMs: number;
  /** Sees the answer's head before it is passed on */
  onAnswer: (answer: IncomingMessage) => void;
}

/** `fault` is null when an answer is on its way to the client, or the client is gone. */
export interface ForwardResult {
  verdict: Verdict;
  fault: 'timeout' | 'unreachable' | null;
  /** Nothing was done yet, or doing it twice is the same as once */
  repeatable?: boolean;
  /** There was no connection */
  refused?: boolean;
}

interface Exchange {
  options: ForwardOptions;
  call: ClientRequest | null;
  settle: (result: ForwardResult) => void;
  deadline: NodeJS.Timeout;
  timedOut: boolean;
}

export interface Forwarder {
  /** Sends the request on and streams the answer back. Resolves when the answer's head is there, or there will be none. Never rejects. */
  forward(req: Request, res: Response, options: ForwardOptions): Promise<ForwardResult>;
  close(): void;
}

/** Set on a 5xx by a service that is itself well (api/http/problem.ts): its breaker stays closed. */
export const FAULT_ORIGIN = 'x-leaky-fault-origin';
const STREAM = /^(?:text\/event-stream|application\/x-ndjson)/;
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

export function createForwarder(): Forwarder {
  const agents = { 'http:': new Agent({ keepAlive: true, noDelay: true }), 'https:': new SecureAgent({ keepAlive: true, noDelay: true }) };
  const exchanges = new WeakMap<IncomingMessage, Exchange>();
  // `toProxy` sends the path as it came: it has been checked, and parsing it again could make another one of it.
  const proxy = createProxyServer({ changeOrigin: true, toProxy: true });

  proxy.on('proxyReq', (call, req) => {
    const exchange = exchanges.get(req);
    if (!exchange) return;
    exchange.call = call;
    if (exchange.timedOut) call.destroy();
  });
  proxy.on('proxyRes', (answer, req, res) => {
    const exchange = exchanges.get(req);
    if (exchange) passOn(exchange, answer, res);
  });

  function attempt(req: Request, res: Response, options: ForwardOptions): Promise<ForwardResult> {
    return new Promise((settle) => {
      const expire = () => {
        exchange.timedOut = true;
        exchange.call?.destroy();
      };
      const exchange: Exchange = { options, call: null, settle, deadline: setTimeout(expire, options.timeoutMs), timedOut: false };
      exchanges.set(req, exchange);
      // The library ends the call when the client hangs up.
      res.once('close', () => {
        clearTimeout(exchange.deadline);
        settle({ verdict: 'neutral', fault: null });
      });
      const { target } = options;
      const request: ServerOptions = {
        target,
        agent: target.protocol === 'https:' ? agents['https:'] : agents['http:'],
        prependPath: target.pathname !== '/',
        buffer: new BodyBytes(options.body),
      };
      proxy.web(req, res, request, (error: NodeJS.ErrnoException) => {
        clearTimeout(exchange.deadline);
        if (exchange.timedOut) settle({ verdict: 'failure', fault: 'timeout' });
        else {
          const refused = nothingSent(error);
          settle({
            verdict: 'failure',
            fault: 'unreachable',
            refused,
            repeatable: !res.headersSent && (refused || isRepeatable(req, error)),
          });
        }
      });
    });
  }

  return {
    forward: attempt,
    close: () => {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

/**
 * A connection that broke under a request which may be done twice: the instance was stopped or killed. A key promises that a
 * second time has no second effect.
 */
function isRepeatable(req: Request, error: NodeJS.ErrnoException): boolean {
  const mayRepeat = IDEMPOTENT.has(req.method) || req.headers['idempotency-key'] !== undefined;
  return mayRepeat && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

export const isStream = (answer: IncomingMessage): boolean => STREAM.test(answer.headers['content-type'] ?? '');

function verdictOf(answer: IncomingMessage): Verdict {
  const status = answer.statusCode ?? 500;
  return status >= 500 && answer.headers[FAULT_ORIGIN] === undefined ? 'failure' : 'success';
}

function passOn(exchange: Exchange, answer: IncomingMessage, res: ServerResponse): void {
  const { options, call } = exchange;
  const verdict = verdictOf(answer);
  options.onAnswer(answer);
  if (isStream(answer)) {
    clearTimeout(exchange.deadline);
    call?.setTimeout(options.timeoutMs, () => call.destroy());
    // The head of a stream must not wait for its first part. The library writes it right after this event.
    process.nextTick(() => res.flushHeaders());
  }
  answer.once('close', () => {
    clearTimeout(exchange.deadline);
    // An answer that breaks off must break off for the client too; otherwise it would look pending for ever.
    if (!answer.complete) res.destroy();
  });
  exchange.settle({ verdict, fault: null });
}
