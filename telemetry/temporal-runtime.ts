import { makeTelemetryFilterString, Runtime, type LogLevel } from '@temporalio/worker';
import type { Logger } from './log.js';

/** SDK levels by pino's names; the SDK's TRACE is below anything shown. */
const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const satisfies Record<LogLevel, string>;

let installed = false;

/**
 * Sends the logs of the SDK and its native core to our log. To be called before the first connection; later calls are ignored,
 * as a process has one runtime. Signals stay ours: the process drains its servers before it stops its workers.
 */
export function installTemporalRuntime(log: Logger): void {
  if (installed) return;
  installed = true;
  const write = (level: LogLevel, message: string, meta?: object) => log[LEVELS[level]](plain(meta), message);
  Runtime.install({
    shutdownSignals: [],
    logger: {
      log: write,
      trace: (message, meta) => write('TRACE', message, meta),
      debug: (message, meta) => write('DEBUG', message, meta),
      info: (message, meta) => write('INFO', message, meta),
      warn: (message, meta) => write('WARN', message, meta),
      error: (message, meta) => write('ERROR', message, meta),
    },
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} } },
  });
}

/** Nanosecond timestamps of the core come as bigint, which JSON has not. */
function plain(meta: object = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(meta).map(([key, value]) => [key, typeof value === 'bigint' ? String(value) : (value as unknown)]),
  );
}
