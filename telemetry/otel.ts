import {
  context,
  createContextKey,
  diag,
  DiagLogLevel,
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Link,
  type Span,
  type SpanContext,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  TracerProvider,
  TraceIdRatioBasedSampler,
  type IdGenerator,
} from '@opentelemetry/sdk-trace';
import type { Logger } from './log.js';
import { format, parse } from './trace-context.js';
import type { Attributes, Carrier, FinishedSpan, SpanOptions, Tracer } from './tracing.js';

export interface TracerOptions {
  /** Base URL of the collector; traces go to /v1/traces below it */
  endpoint: string;
  headers: Record<string, string>;
  /** Of the traces that begin here */
  ratio: number;
  serviceName: string;
  version: string;
  log: Logger;
}

/** A batch of 250 requests has a link for each; the SDK's default is 128. */
const MAX_LINKS = 1_000;
const MAX_QUEUE = 16_384;
const MAX_BATCH = 512;
const EXPORT_EVERY_MS = 1_000;
/** A collector that is away or too slow is told of for each batch. */
const COMPLAIN_EVERY_MS = 10_000;
const EXPORT_TIMEOUT_MS = 5_000;

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER } as const;

/** The span that work came from when it went on in another trace */
const CAME_FROM = createContextKey('leaky: came from');

/** A workflow's span has the id that its steps, wherever they ran, were told. */
class GivenIds implements IdGenerator {
  private readonly random = new RandomIdGenerator();
  next: string | null = null;
  generateTraceId = (): string => this.random.generateTraceId();
  generateSpanId = (): string => {
    const given = this.next;
    this.next = null;
    return given ?? this.random.generateSpanId();
  };
}

const isSampled = (span: SpanContext | undefined): span is SpanContext =>
  span !== undefined && isSpanContextValid(span) && (span.traceFlags & TraceFlags.SAMPLED) !== 0;

const contextOf = (carrier: Carrier): Context => {
  const remote = parse(carrier);
  return remote ? trace.setSpanContext(ROOT_CONTEXT, remote) : ROOT_CONTEXT;
};

export function createTracer(options: TracerOptions): Tracer {
  const { log } = options;
  let complainedAt = -Infinity;
  const complain = (detail: string) => {
    if (performance.now() - complainedAt < COMPLAIN_EVERY_MS) return;
    complainedAt = performance.now();
    log.warn({ detail }, 'traces get lost');
  };
  diag.setLogger(
    {
      error: complain,
      warn: complain,
      info: () => undefined,
      debug: () => undefined,
      verbose: () => undefined,
    },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const ids = new GivenIds();
  const exporter = new OTLPTraceExporter({
    url: `${options.endpoint.replace(/\/$/, '')}/v1/traces`,
    headers: options.headers,
    timeoutMillis: EXPORT_TIMEOUT_MS,
    // At the end the whole queue is sent at once; what is above the limit would be refused.
    concurrencyLimit: 2 * Math.ceil(MAX_QUEUE / MAX_BATCH),
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'leaky-tokens',
      'service.name': options.serviceName,
      'service.version': options.version,
      'process.pid': process.pid,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.ratio) }),
    idGenerator: ids,
    spanLimits: { linkCountLimit: MAX_LINKS },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: MAX_QUEUE,
        maxExportBatchSize: MAX_BATCH,
        scheduledDelayMillis: EXPORT_EVERY_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('leaky-tokens', options.version);
  const memory = new WeakMap<object, Context>();

  function start(name: string, { kind, attributes }: SpanOptions, parent: Context, links: Link[] = []): Span {
    return tracer.startSpan(name, { kind: kind ? KINDS[kind] : SpanKind.INTERNAL, ...(attributes && { attributes }), links }, parent);
  }

  async function within<T>(span: Span, parent: Context, work: () => Promise<T>): Promise<T> {
    try {
      return await context.with(trace.setSpan(parent, span), work);
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  function shared<T>(name: string, contexts: readonly Context[], options: SpanOptions, work: () => Promise<T>): Promise<T> {
    const sampled = distinct(contexts.filter((one) => isSampled(trace.getSpanContext(one))));
    const [first, ...others] = sampled;
    if (!first) return context.with(ROOT_CONTEXT, work);
    const span = start(
      name,
      options,
      first,
      others.map((one) => ({ context: trace.getSpanContext(one) as SpanContext })),
    );
    for (const one of others) trace.getSpan(one)?.addLink({ context: span.spanContext() });
    return within(span, first, work);
  }

  return {
    traced(name, options, work) {
      const current = context.active();
      if (!isSampled(trace.getSpanContext(current))) return work();
      const from = current.getValue(CAME_FROM) as SpanContext | undefined;
      const span = start(name, options, current, from ? [{ context: from }] : []);
      return within(span, from ? current.deleteValue(CAME_FROM) : current, work);
    },

    tracedBatch: (name, items, options, work) =>
      shared(
        name,
        items.map((item) => memory.get(item) ?? ROOT_CONTEXT),
        options,
        work,
      ),

    continued: (name, carriers, options, work) => shared(name, carriers.map(contextOf), options, work),

    served(carrier, options, work) {
      const parent = contextOf(carrier);
      const span = start('request', options, parent);
      context.with(trace.setSpan(parent, span), () =>
        work({
          rename: (name) => void span.updateName(name),
          end(attributes, failed) {
            span.setAttributes(attributes);
            if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
            span.end();
          },
        }),
      );
    },

    finished({ name, parent, spanId, startedAt, endedAt, failed, attributes }: FinishedSpan) {
      const remote = contextOf({ traceparent: parent });
      if (!isSampled(trace.getSpanContext(remote))) return;
      ids.next = spanId;
      const span = tracer.startSpan(name, { startTime: startedAt, attributes }, remote);
      if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(endedAt);
    },

    remember: (item) => void memory.set(item, context.active()),

    inTraceOf(item, work) {
      const own = memory.get(item);
      const here = trace.getSpanContext(context.active());
      if (!own || trace.getSpanContext(own)?.traceId === here?.traceId) return work();
      return context.with(here ? own.setValue(CAME_FROM, here) : own, work);
    },

    headers() {
      const span = trace.getSpanContext(context.active());
      return span && isSpanContextValid(span) ? format(span) : {};
    },

    traceId: () => trace.getSpanContext(context.active())?.traceId,

    stop: () => provider.shutdown(),
  };
}

/** What several items have in common, as the events of one batch do, is one. */
function distinct(contexts: readonly Context[]): Context[] {
  return [...new Map(contexts.map((one) => [trace.getSpanContext(one)?.spanId, one])).values()];
}

function fail(span: Span, error: unknown): void {
  span.setStatus({
    code: SpanStatusCode.ERROR,
    message: error instanceof Error ? error.message.slice(0, 300) : String(error).slice(0, 300),
  });
}

export type { Attributes };
