import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { metrics } from './metrics.js';
import { redact } from './redaction.js';
import { activeTracer } from './tracing.js';

export type { Logger };

const WAITING_BYTES = 1_000_000;

/** Leads from a line to the trace of the request that it is about. */
function traceFields(): { traceId?: string } {
  const traceId = activeTracer()?.traceId();
  return traceId === undefined ? {} : { traceId };
}

/** JSON lines on standard output, unless another destination is given. No secret passes, neither by name nor by value (redaction.ts). */
export function createLogger(level: string, base: Record<string, unknown> = {}, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    mixin: traceFields,
    hooks: { streamWrite: redact },
  };
  return pino(options, destination ?? standardOutput());
}

/**
 * Written at once: what is left to write at the end would be tried for ever when nobody reads our output any more, and the process
 * would not end. A line costs less so than by way of the thread pool.
 */
function standardOutput(): DestinationStream {
  // A file that standard output goes to may be on a full disk: lines wait for it, and beyond that they are dropped.
  const destination = pino.destination({ dest: 1, sync: true, maxLength: WAITING_BYTES });
  destination.on('error', () => undefined);
  destination.on('drop', () => metrics.logLinesDropped.inc());
  return destination;
}
