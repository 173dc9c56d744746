/**
 * The seam between the program and its traces: what is called here does nothing, and costs a comparison, unless a tracer was
 * installed at the start (telemetry/otel.ts, loaded only then). Spans are made by hand at the few places where work is handed on:
 * one workflow carries many requests, which no automatic instrumentation could tell apart.
 *
 * What many requests share runs in the trace of the first one that is sampled and has links to the others, and they to it.
 */
export type Attributes = Record<string, string | number | boolean>;

export interface SpanOptions {
  kind?: 'server' | 'client' | 'producer' | 'consumer';
  attributes?: Attributes;
}

/** W3C trace context as headers, of HTTP, of a workflow or of a Kafka message */
export type Carrier = Readonly<Record<string, unknown>>;

/** A span whose end is told from elsewhere: a workflow's */
export interface FinishedSpan {
  name: string;
  /** traceparent of its parent */
  parent: string;
  /** 16 hex digits */
  spanId: string;
  /** Epoch milliseconds */
  startedAt: number;
  endedAt: number;
  failed: boolean;
  attributes: Attributes;
}

export interface ServedRequest {
  rename(name: string): void;
  end(attributes: Attributes, failed: boolean): void;
}

export interface Tracer {
  traced<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T>;
  tracedBatch<T>(name: string, items: readonly object[], options: SpanOptions, work: () => Promise<T>): Promise<T>;
  /** Goes on with the trace of the carriers; without one of them sampled it only runs the work */
  continued<T>(name: string, carriers: readonly Carrier[], options: SpanOptions, work: () => Promise<T>): Promise<T>;
  /** A root, unless the carrier names a parent */
  served(carrier: Carrier, options: SpanOptions, work: (span: ServedRequest) => void): void;
  finished(span: FinishedSpan): void;
  remember(item: object): void;
  inTraceOf<T>(item: object, work: () => T): T;
  headers(): Record<string, string>;
  traceId(): string | undefined;
  /** Sends what has ended and waits for it, within a limit */
  stop(): Promise<void>;
}

let tracer: Tracer | null = null;

export function installTracer(installed: Tracer | null): void {
  tracer = installed;
}

/** For code that is better left out altogether while nothing is traced. */
export const activeTracer = (): Tracer | null => tracer;

/** Runs the work as a part of the current trace. Without a current trace, or when it is not sampled, it only runs the work. */
export function traced<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
  return tracer ? tracer.traced(name, options, work) : work();
}

/** Runs work that several items share, each of which was remembered where it came in. */
export function tracedBatch<T>(name: string, items: readonly object[], options: SpanOptions, work: () => Promise<T>): Promise<T> {
  return tracer ? tracer.tracedBatch(name, items, options, work) : work();
}

/** Keeps the current trace with the item, for as long as the item lives. */
export function rememberTrace(item: object): void {
  tracer?.remember(item);
}

/** Runs the work in the trace that the item came in with, linked to the current one. */
export function inTraceOf<T>(item: object, work: () => T): T {
  return tracer ? tracer.inTraceOf(item, work) : work();
}

/** For whoever is called: empty while nothing is traced. */
export function traceHeaders(): Record<string, string> {
  return tracer ? tracer.headers() : {};
}
