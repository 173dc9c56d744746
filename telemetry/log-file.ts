import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync, write, writeSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { metrics } from './metrics.js';

const writeSome = promisify(write);

export interface LogFileOptions {
  /** A file that has grown beyond this becomes `<file>.1` while we run; there is one of these */
  keepBytes?: number;
  /** Lines wait in memory for company until there are so many bytes, or for `flushEveryMs`, which is what kill -9 may take of them */
  gatherBytes?: number;
  flushEveryMs?: number;
  /** Lines that the disk does not take wait up to so many bytes; more are dropped and counted */
  waitingBytes?: number;
}

/**
 * Where lines of the log go. A disk that is full or gone costs lines, never the process: what cannot be written waits and is tried
 * again, what is too much to wait is dropped, counted (leaky_log_lines_dropped_total) and owned up to when the disk takes lines again.
 */
export class LogFile {
  private fd: number | null = null;
  private size = 0;
  private lines: string[] = [];
  private bytes = 0;
  /** Of a chunk that was written in part: its rest comes first */
  private rest: Buffer | null = null;
  private dropped = 0;
  private writing: Promise<void> | null = null;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly file: string,
    private readonly options: LogFileOptions = {},
  ) {
    this.timer = setInterval(() => void this.flush(), options.flushEveryMs ?? 1_000);
    this.timer.unref();
  }

  write(line: string): void {
    const { gatherBytes = 4_096, waitingBytes = 4_000_000 } = this.options;
    if (this.bytes + line.length > waitingBytes) {
      this.dropped++;
      metrics.logLinesDropped.inc();
      return;
    }
    this.lines.push(line);
    this.bytes += line.length;
    // While the disk refuses lines, the timer is often enough to ask it.
    if (this.bytes >= gatherBytes && this.rest === null) void this.flush();
  }

  /** Resolves when what waited is written, or could not be. Never rejects. */
  flush(): Promise<void> {
    this.writing ??= this.writeOut().finally(() => (this.writing = null));
    return this.writing;
  }

  /** For the end of the process. */
  flushSync(): void {
    clearInterval(this.timer);
    try {
      const fd = this.open();
      for (let chunk = this.take(); chunk; chunk = this.take()) {
        while (chunk.length > 0) chunk = chunk.subarray(writeSync(fd, chunk));
        this.rest = null;
      }
    } catch {
      // Nobody is left to be told.
    }
  }

  private async writeOut(): Promise<void> {
    try {
      for (let chunk = this.take(); chunk; chunk = this.take()) {
        this.rest = chunk;
        const fd = this.open();
        while (this.rest.length > 0) {
          const { bytesWritten } = await writeSome(fd, this.rest);
          this.size += bytesWritten;
          this.rest = this.rest.subarray(bytesWritten);
        }
        this.rest = null;
        this.ownUp();
        this.rotate();
      }
    } catch {
      this.close();
    }
  }

  /** The rest of the last chunk, else what waits now; null: nothing. */
  private take(): Buffer | null {
    if (this.rest) return this.rest;
    if (this.lines.length === 0) return null;
    const chunk = Buffer.from(this.lines.join(''));
    this.lines = [];
    this.bytes = 0;
    return chunk;
  }

  private ownUp(): void {
    if (this.dropped === 0) return;
    const time = new Date().toISOString();
    this.lines.push(
      `${JSON.stringify({ level: 40, time, msg: `${this.dropped} log lines were dropped: the log could not be written` })}\n`,
    );
    this.dropped = 0;
  }

  private rotate(): void {
    if (this.size < (this.options.keepBytes ?? 50_000_000)) return;
    this.close();
    renameSync(this.file, `${this.file}.1`);
  }

  private open(): number {
    // Somebody may have removed it.
    if (this.fd !== null && fstatSync(this.fd).nlink > 0) return this.fd;
    this.close();
    mkdirSync(path.dirname(this.file), { recursive: true });
    this.fd = openSync(this.file, 'a');
    this.size = statSync(this.file).size;
    return this.fd;
  }

  private close(): void {
    const { fd } = this;
    this.fd = null;
    if (fd !== null) closeSync(fd);
  }
}
