import { randomInt } from 'node:crypto';
import { makeTelemetryFilterString, Runtime, type LogLevel, type RuntimeOptions } from '@temporalio/worker';
import { addMetricsPage } from './exposition.js';
import { FoldedLines } from './folded-lines.js';
import type { Logger } from './log.js';

/** SDK levels by pino's names; the SDK's TRACE is below anything shown. */
const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const satisfies Record<LogLevel, string>;

let installed = false;

export interface RuntimeSettings {
  /** Add what the SDK measures to the metrics of the process */
  metrics?: boolean;
}

/**
 * Sends the logs of the SDK and its native core to our log. To be called before the first connection; later calls are ignored,
 * as a process has one runtime. Signals stay ours: the process drains its servers before it stops its workers.
 */
export function installTemporalRuntime(log: Logger, { metrics = false }: RuntimeSettings = {}): void {
  if (installed) return;
  installed = true;
  // The core says of each task that waits for a slow provider that it takes long: as many lines as there are batches.
  const lines = new FoldedLines({ onFolded: (count, example) => log.warn({ count }, `more like this: ${example}`) });
  const write = (level: LogLevel, message: string, meta?: object) => {
    if (level === 'WARN' && message.includes('[TMPRL') && !lines.passes(message)) return;
    log[LEVELS[level]](plain(meta), message);
  };
  const options: RuntimeOptions = {
    shutdownSignals: [],
    logger: {
      log: write,
      trace: (message, meta) => write('TRACE', message, meta),
      debug: (message, meta) => write('DEBUG', message, meta),
      info: (message, meta) => write('INFO', message, meta),
      warn: (message, meta) => write('WARN', message, meta),
      error: (message, meta) => write('ERROR', message, meta),
    },
  };
  const logging = { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} };
  if (metrics) installWithMetrics(options, logging);
  else Runtime.install({ ...options, telemetryOptions: { logging } });
}

const FIRST_PORT = 20_000;
const LAST_PORT = 60_000;
const TRIES = 20;

type Logging = NonNullable<NonNullable<RuntimeOptions['telemetryOptions']>['logging']>;

/**
 * The core counts by itself and answers on a port of its own; with the other way, a buffer that JavaScript drains, each count would
 * cost the thread that serves. It does not tell which port it got when asked for any, so one is guessed.
 */
function installWithMetrics(options: RuntimeOptions, logging: Logging): void {
  for (let left = TRIES; ; left--) {
    const bindAddress = `127.0.0.1:${randomInt(FIRST_PORT, LAST_PORT)}`;
    const prometheus = { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };
    try {
      Runtime.install({ ...options, telemetryOptions: { logging, metrics: { attachServiceName: false, prometheus } } });
      addMetricsPage(`http://${bindAddress}/metrics`);
      return;
    } catch (error) {
      if (left === 0 || !String(error).includes('Address already in use')) throw error;
    }
  }
}

/** Nanosecond timestamps of the core come as bigint, which JSON has not; errors as a member that pino would write as `{}`. */
function plain(meta: object = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(meta).map(([key, value]: [string, unknown]) => [
      key === 'error' && value instanceof Error ? 'err' : key,
      typeof value === 'bigint' ? String(value) : value,
    ]),
  );
}
