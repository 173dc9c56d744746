import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { redact } from './redaction.js';

export type { Logger };

/** JSON lines on standard output, unless another destination is given. No secret passes, neither by name nor by value (redaction.ts). */
export function createLogger(level: string, base: Record<string, unknown> = {}, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: redact },
  };
  return destination ? pino(options, destination) : pino(options);
}
