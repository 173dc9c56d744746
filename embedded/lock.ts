import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { onDataFolder } from './data-folder.js';
import { StartError } from './start-error.js';

/**
 * One process owns a data folder. The lock is a file that names its owner and the owner's children by process id and start
 * time (an id alone may belong to someone else by now).
 *
 *   no file ──▶ ours.   owner alive ──▶ refused.   owner dead ──▶ wait until its children are gone too, then ours.
 *
 * After kill -9 the watchdogs are still closing the databases for a moment; two servers on one folder would harm it.
 */
export interface DataLock {
  /** Adds a child that must be gone before a successor may start */
  addChild(pid: number): void;
  release(): void;
}

const party = z.object({ pid: z.int().positive(), startedAt: z.string().nullable() });
const schema = z.object({ owner: party, children: z.array(party) });
type Party = z.infer<typeof party>;
type LockFile = z.infer<typeof schema>;

/** As it is in the file: by its bytes a stale lock is told from a rival's. */
interface Found {
  text: string;
  content: LockFile;
}

const WAIT_FOR_CHILDREN_MS = 30_000;
/** A rival takes and gives back the lock in between; more often than this means that something else writes the file. */
const MOST_TRIES = 50;

/** @throws StartError when another process owns the folder */
export function lockDataDir(dataDir: string, progress: (line: string) => void = () => undefined): Promise<DataLock> {
  return onDataFolder(dataDir, () => lock(dataDir, progress));
}

async function lock(dataDir: string, progress: (line: string) => void): Promise<DataLock> {
  mkdirSync(dataDir, { recursive: true });
  const file = path.join(dataDir, 'lock.json');
  const content: LockFile = { owner: partyOf(process.pid), children: [] };
  for (let tries = 0; !tryCreate(file, content); tries++) {
    if (tries > MOST_TRIES) throw new StartError(`${file} cannot be taken over. If nothing runs on this folder, remove that file.`);
    const found = read(file);
    if (found === null) continue;
    const { content: current, text } = found;
    if (isAlive(current.owner)) {
      throw new StartError(
        `Leaky Tokens is already running on ${dataDir} (process ${current.owner.pid}). Stop it first, or choose another folder with LEAKY_DATA_DIR=<folder> and other ports.`,
      );
    }
    await waitForEnd(current.children, progress);
    removeStale(file, text);
  }
  const save = () => {
    writeFileSync(`${file}.new`, JSON.stringify(content));
    renameSync(`${file}.new`, file);
  };
  return {
    addChild(pid) {
      content.children = [...content.children.filter(isAlive), partyOf(pid)];
      save();
    },
    release: () => rmSync(file, { force: true }),
  };
}

/** Written aside and linked into place: the file appears complete or not at all, and for one of two rivals only. */
function tryCreate(file: string, content: LockFile): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(content));
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function read(file: string): Found | null {
  try {
    const text = readFileSync(file, 'utf8');
    return { text, content: schema.parse(JSON.parse(text)) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code) throw error;
    throw new StartError(`${file} is damaged. If nothing runs on this folder, remove that file.`, { cause: error });
  }
}

/** Takes the stale lock away by renaming it; when a rival was faster and the file is its lock, it is put back. */
function removeStale(file: string, stale: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') !== stale) linkSync(aside, file);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

async function waitForEnd(children: readonly Party[], progress: (line: string) => void): Promise<void> {
  const deadline = Date.now() + WAIT_FOR_CHILDREN_MS;
  if (children.some(isAlive)) progress('Waiting for the databases of the previous run to close');
  for (;;) {
    const alive = children.find(isAlive);
    if (!alive) return;
    if (Date.now() > deadline) throw new StartError(`Process ${alive.pid} of the previous run does not end; end it and start again.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const partyOf = (pid: number): Party => ({ pid, startedAt: startOf(pid) });

function isAlive({ pid, startedAt }: Party): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return startedAt === startOf(pid);
}

/** Clock ticks after boot, of /proc; null where there is no /proc (the id alone decides then) or no such process. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not noticed yet.
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}
