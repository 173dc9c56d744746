import { pino, type Logger } from 'pino';

export type { Logger };

/** JSON lines on standard output. Secrets are redacted by name wherever they are logged. */
export function createLogger(level: string, base: Record<string, unknown> = {}): Logger {
  return pino({
    level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: [
        'password',
        'rawKey',
        'token',
        'authorization',
        '*.password',
        '*.rawKey',
        '*.token',
        'req.headers.authorization',
        'req.headers["x-api-key"]',
      ],
      censor: '[redacted]',
    },
  });
}
