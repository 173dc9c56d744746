import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';

const KEEP_BYTES = 10_000_000;
const LOOK_EVERY_MS = 5_000;
const TAIL_LINES = 12;

/** Appends; a file that has grown large becomes `<file>.1` first. */
export function openLog(file: string): number {
  mkdirSync(path.dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > KEEP_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a');
}

/**
 * Bounds a log while its child writes it. The child keeps its open file, so the file is copied to `<file>.1` and cut to nothing: as
 * the child appends, it goes on at the start. What it writes between the two is lost, and so is the copy when the disk is full:
 * room for the database is worth more. @returns the way to end it
 */
export function boundLog(file: string, { keepBytes = KEEP_BYTES, everyMs = LOOK_EVERY_MS } = {}): () => void {
  const look = () => {
    try {
      if (statSync(file).size <= keepBytes) return;
      try {
        copyFileSync(file, `${file}.1`);
      } finally {
        truncateSync(file);
      }
    } catch {
      // Removed by somebody, or a full disk: the next look is soon.
    }
  };
  const timer = setInterval(look, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** The last lines that were written after `offset`; of a log that was cut since then, of all of it. */
export function tailOf(file: string, offset: number): string {
  const bytes = readFileSync(file);
  const text = bytes.subarray(bytes.length < offset ? 0 : offset).toString('utf8');
  return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
