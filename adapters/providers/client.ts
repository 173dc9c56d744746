import { Pool } from 'undici';
import type { ProviderFailureCode, ProviderRequest } from '../../activities/ports.js';
import type { ProviderName } from '../../contracts/providers.js';
import { metrics } from '../../telemetry/metrics.js';
import { traced, traceHeaders } from '../../telemetry/tracing.js';
import { exchange, type Ended } from './exchange.js';
import type { Content, LimitField, Reply, WireFormat } from './wire.js';

/** One failed HTTP call: what to make of it is decided here, what to do about it in guard.ts. */
export interface Failure {
  ok: false;
  kind: 'timeout' | 'failed' | 'limited' | 'rejected' | 'cancelled' | 'refused';
  code: ProviderFailureCode;
  detail: string;
  /** Another attempt may help */
  retry: boolean;
  /** The provider's own fault (a time-out, a broken connection, 5xx, an answer of no known form), so the breaker counts it */
  counts: boolean;
  retryAfterMs: number | null;
}
export type Attempt = { ok: true; content: Content } | Failure;

export interface ClientOptions {
  provider: ProviderName;
  wire: WireFormat;
  baseUrl: string;
  apiKey: string;
  model: string;
  /** Which member bounds the answer for a model, where the format has two */
  limitField: (model: string) => LimitField;
  timeoutMs: number;
  /** Connections at most; beyond them calls wait, and their time limit runs */
  connections: number;
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_DETAIL = 300;
/** Worth another attempt: time-outs and the provider's own faults. Any other 4xx but a rate limit is about the request or our key. */
const isPassing = (status: number) => status === 408 || status === 425 || status >= 500;
/** A rejection of these says that we ask at the wrong address or with the wrong key: nothing that callers can mend. */
const OUR_FAULT = [401, 403, 404, 405, 407];
/** Longer waits are no answer to a caller who waits; the provider will say again. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
/** An account without quota needs its owner: asking at the pace of an outage would only add refusals. */
const WITHOUT_QUOTA_RETRY_AFTER_MS = 60_000;
/** `…/v1`, `…/v1beta`: people copy base URLs with and without it */
const VERSION_SEGMENT = /\/v\d+[a-z\d]*$/i;

export const failed = (kind: Failure['kind'], detail: string, overrides: Partial<Failure> = {}): Failure => ({
  ok: false,
  kind,
  code: kind === 'timeout' ? 'PROVIDER_TIMEOUT' : kind === 'refused' ? 'PROVIDER_UNAVAILABLE' : 'PROVIDER_FAILED',
  detail,
  retry: true,
  counts: true,
  retryAfterMs: null,
  ...overrides,
});
/** Asking again would bring the same. */
const rejected = (code: ProviderFailureCode, detail: string, retryAfterMs: number | null = null) =>
  failed('rejected', detail, { code, retry: false, counts: false, retryAfterMs });
export const CANCELLED = failed('cancelled', 'cancelled by the caller', { retry: false, counts: false });

/** The HTTP client of one provider: one call, no retries. Holds the provider's keep-alive connections. */
export class ProviderClient {
  private readonly pool: Pool;
  private readonly prefix: string;
  private readonly fixedHeaders: readonly string[];

  constructor(private readonly options: ClientOptions) {
    const { origin } = new URL(options.baseUrl);
    this.prefix = prefixOf(options.baseUrl, options.wire.version);
    this.fixedHeaders = ['content-type', 'application/json', ...options.wire.headers(options.apiKey)];
    this.pool = new Pool(origin, {
      connections: options.connections,
      pipelining: 1,
      maxResponseSize: MAX_ANSWER_BYTES,
      connect: { timeout: options.timeoutMs },
      // Every call has a time limit of its own, which covers these.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** Never rejects. `onDelta` asks for a stream; its text can't be taken back, so a stream that broke after it isn't tried again. */
  attempt(request: ProviderRequest, signal?: AbortSignal, onDelta?: (text: string) => void): Promise<Attempt> {
    const attributes = { 'gen_ai.system': request.provider, 'leaky.consumption_id': request.consumptionId };
    return traced(`call ${request.provider}`, { kind: 'client', attributes }, () => this.send(request, signal, onDelta));
  }

  private async send(request: ProviderRequest, signal?: AbortSignal, onDelta?: (text: string) => void): Promise<Attempt> {
    const { wire, timeoutMs, provider } = this.options;
    const model = request.model ?? this.options.model;
    let started = false;
    const reader =
      onDelta &&
      wire.reader((text) => {
        started = true;
        onDelta(text);
      });
    const startedAt = performance.now();
    const ended = await exchange(this.pool, {
      path: this.prefix + wire.path(model, reader !== undefined),
      // The same for every attempt: a provider that knows either header answers the second attempt without doing the work twice.
      headers: [
        ...this.fixedHeaders,
        ...['idempotency-key', request.consumptionId, 'x-request-id', request.consumptionId],
        ...Object.entries(traceHeaders()).flat(),
      ],
      body: wire.body(request, model, reader !== undefined, this.options.limitField(model)),
      timeoutMs,
      signal,
      reader,
    });
    const attempt = this.judge(ended, reader && (() => reader.end()));
    metrics.providerCalls.observe((performance.now() - startedAt) / 1000, provider, attempt.ok ? 'ok' : attempt.kind);
    return attempt.ok || !started ? attempt : { ...attempt, retry: false };
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private judge(ended: Ended, streamEnd: (() => Reply) | undefined): Attempt {
    switch (ended.how) {
      case 'cancelled':
        return CANCELLED;
      case 'timeout':
        return failed('timeout', `no answer within ${this.options.timeoutMs} ms`);
      case 'oversized':
        return rejected('ANSWER_TOO_LARGE', `the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
      case 'broken':
        return failed('failed', this.publicDetail(ended.detail));
      case 'complete':
        return ended.status === 200 ? this.judgeAnswer(ended, streamEnd) : this.judgeStatus(ended);
    }
  }

  private judgeAnswer(ended: Extract<Ended, { how: 'complete' }>, streamEnd: (() => Reply) | undefined): Attempt {
    const wanted = streamEnd ? 'text/event-stream' : 'application/json';
    if (!ended.contentType.startsWith(wanted)) {
      return failed('failed', this.publicDetail(`status 200 with content type "${ended.contentType}" instead of ${wanted}`));
    }
    if (!streamEnd && ended.body === '') return failed('failed', 'status 200 with an empty body');
    const reply = streamEnd ? streamEnd() : this.options.wire.parse(ended.body);
    if (reply.ok) return reply;
    const detail = this.publicDetail(reply.detail);
    return reply.declined ? rejected(reply.declined, detail) : failed('failed', detail);
  }

  private judgeStatus(ended: Extract<Ended, { how: 'complete' }>): Attempt {
    const { status } = ended;
    const said = this.options.wire.errorOf(status, ended.body);
    // What a provider says about a refused key may quote the key.
    const aboutKey = !said?.declined && (status === 401 || status === 403);
    const text = aboutKey ? 'the provider refused the API key' : said?.text;
    const detail = this.publicDetail(`status ${status}${text ? `: ${text}` : ''}`);
    const waitMs = retryAfterOf(ended) ?? said?.retryAfterMs ?? null;
    const retryAfterMs = waitMs === null ? null : Math.min(waitMs, LONGEST_RETRY_AFTER_MS);
    if (isPassing(status)) return failed('failed', detail, { retryAfterMs });
    if (said?.declined === 'PROVIDER_QUOTA_EXHAUSTED') {
      return rejected(said.declined, detail, retryAfterMs ?? WITHOUT_QUOTA_RETRY_AFTER_MS);
    }
    if (said?.declined) return rejected(said.declined, detail);
    // Without a time to come back at, asking at once would only use up more of what is limited.
    if (status === 429) {
      return failed('limited', detail, { code: 'PROVIDER_RATE_LIMITED', retry: retryAfterMs !== null, counts: false, retryAfterMs });
    }
    const ours = status < 400 || OUR_FAULT.includes(status);
    return rejected(ours ? 'PROVIDER_FAILED' : 'PROVIDER_REJECTED', detail);
  }

  /** Bounded, and without our key even if the provider echoes it. */
  private publicDetail(text: string): string {
    const { apiKey } = this.options;
    const clean = apiKey.length >= 8 ? text.replaceAll(apiKey, '[api key]') : text;
    return clean.length > MAX_DETAIL ? `${clean.slice(0, MAX_DETAIL)}…` : clean;
  }
}

const retryAfterOf = ({ retryAfterMs, retryAfter }: Extract<Ended, { how: 'complete' }>): number | null =>
  retryAfterMs !== undefined && /^\d{1,9}$/.test(retryAfterMs) ? Number(retryAfterMs) : parseRetryAfter(retryAfter, Date.now());

/** The path before those of the format, with exactly one version segment: that of the base URL, else that of the format. */
export function prefixOf(baseUrl: string, version: string): string {
  const prefix = new URL(baseUrl).pathname.replace(/\/+$/, '');
  return VERSION_SEGMENT.test(prefix) ? prefix : `${prefix}/${version}`;
}

/** Retry-After in milliseconds, from seconds or an HTTP date (RFC 9110, 10.2.3); null when there is none or it is neither. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}
