import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { createLogger, type Logger } from '../telemetry/log.js';

const KEEP_BYTES = 50_000_000;
/** The same line again within this time is left out of the terminal (never of the file) */
const QUIET_MS = 5_000;

/** Everything to `<dataDir>/logs/leaky.log`; warnings and errors also to the terminal, one short line each. */
export function createFileLogger(level: string, dataDir: string): { log: Logger; file: string; flush: () => void } {
  const file = path.join(dataDir, 'logs/leaky.log');
  mkdirSync(path.dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > KEEP_BYTES) renameSync(file, `${file}.1`);
  const destination = pino.destination({ dest: file, sync: false, minLength: 4_096 });
  // Lines wait in memory for their company; a second is the most that kill -9 may take of them.
  setInterval(() => destination.flush(), 1_000).unref();
  const streams = pino.multistream([
    { level: 'trace', stream: destination },
    { level: 'warn', stream: terminal() },
  ]);
  return { log: createLogger(level, {}, streams), file, flush: () => destination.flushSync() };
}

interface LogLine {
  level: number;
  msg?: string;
  err?: { message?: string };
  error?: unknown;
}

function terminal(): Writable {
  const shownAt = new Map<string, number>();
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const line = short(JSON.parse(chunk.toString('utf8')) as LogLine);
      const now = Date.now();
      if (now - (shownAt.get(line) ?? -Infinity) > QUIET_MS) process.stderr.write(`${line}\n`);
      if (shownAt.size > 200) shownAt.clear();
      shownAt.set(line, now);
      done();
    },
  });
}

function short({ level, msg = '', err, error }: LogLine): string {
  const word = level >= pino.levels.values.error! ? 'error' : 'warning';
  const cause = err?.message ?? (typeof error === 'string' ? error : '');
  return `${word}: ${[msg, cause].filter(Boolean).join(': ')}`.split('\n')[0]!.slice(0, 300);
}
