import path from 'node:path';
import { pino, type StreamEntry } from 'pino';
import { FoldedLines } from '../telemetry/folded-lines.js';
import { LogFile } from '../telemetry/log-file.js';
import { createLogger, type Logger } from '../telemetry/log.js';

/** Everything to `<dataDir>/logs/leaky.log`; warnings and errors also to the terminal, one short line each. */
export function createFileLogger(level: string, dataDir: string): { log: Logger; file: string; flush: () => void } {
  const file = path.join(dataDir, 'logs/leaky.log');
  const logFile = new LogFile(file);
  const streams: StreamEntry[] = [
    { level: 'trace', stream: logFile },
    { level: 'warn', stream: terminal((line) => process.stderr.write(`${line}\n`)) },
  ];
  return { log: createLogger(level, {}, pino.multistream(streams)), file, flush: () => logFile.flushSync() };
}

interface LogLine {
  level: number;
  msg?: string;
  err?: { message?: string };
  error?: unknown;
  [member: string]: unknown;
}

/** A flood of one kind of line is folded here, never in the file. */
export function terminal(show: (line: string) => void): { write(line: string): void } {
  const lines = new FoldedLines({ onFolded: (count, example) => show(`${example} (and ${count} more like it)`) });
  return {
    write(text) {
      const line = short(JSON.parse(text) as LogLine);
      if (lines.passes(line)) show(line);
    },
  };
}

function short(line: LogLine): string {
  const { level, msg = '', err, error } = line;
  const word = level >= pino.levels.values.error! ? 'error' : 'warning';
  const cause = err?.message ?? (typeof error === 'string' ? error : '');
  const text = [firstLine(msg), firstLine(cause)].filter(Boolean).join(': ');
  const names = namesIn(line);
  return `${word}: ${text.slice(0, 300)}${names.length > 0 ? ` [${names.join(', ')}]` : ''}`;
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!;

/** What a line is about, in the order in which an operator looks for it; the workflow's id names a purchase too. */
const NAMES: readonly [member: string, word: string][] = [
  ['workflowId', ''],
  ['sagaId', 'purchase '],
  ['consumptionId', 'consumption '],
  ['activityType', 'activity '],
  ['attempt', 'attempt '],
  ['provider', 'provider '],
  ['taskQueue', 'queue '],
  ['part', ''],
  ['service', ''],
  ['method', ''],
  ['path', ''],
  ['correlationId', 'correlation '],
];

function namesIn(line: LogLine): string[] {
  const names: string[] = [];
  for (const [member, word] of NAMES) {
    const value = line[member];
    if ((typeof value !== 'string' && typeof value !== 'number') || value === '') continue;
    // A purchase's workflow is named after it.
    if (member === 'sagaId' && String(line.workflowId ?? '').includes(String(value))) continue;
    names.push(`${word}${String(value).slice(0, 80)}`);
  }
  return names;
}
