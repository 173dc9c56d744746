import { createTraceState, type SpanContext } from '@opentelemetry/api';
import type { Carrier } from './tracing.js';

// W3C Trace Context, https://www.w3.org/TR/trace-context/: version 00 and, of later ones, the part that they keep.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const MAX_STATE = 512;

/** null: there is none, or it is malformed, which counts as none. Values may be strings or the bytes of a Kafka header. */
export function parse(carrier: Carrier): SpanContext | null {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text(carrier['traceparent'])) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  const state = text(carrier['tracestate']);
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(state !== '' && state.length <= MAX_STATE && { traceState: createTraceState(state) }),
  };
}

export function format({ traceId, spanId, traceFlags, traceState }: SpanContext): Record<string, string> {
  const state = traceState?.serialize();
  return { traceparent: `00-${traceId}-${spanId}-0${traceFlags & 1}`, ...(state && { tracestate: state }) };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : Buffer.isBuffer(value) ? value.toString('latin1') : '');
