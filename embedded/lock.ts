import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
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

interface Party {
  pid: number;
  startedAt: string | null;
}
interface LockFile {
  owner: Party;
  children: Party[];
}

const WAIT_FOR_CHILDREN_MS = 30_000;

/** @throws StartError when another process owns the folder */
export async function lockDataDir(dataDir: string, progress: (line: string) => void = () => undefined): Promise<DataLock> {
  mkdirSync(dataDir, { recursive: true });
  const file = path.join(dataDir, 'lock.json');
  const content: LockFile = { owner: party(process.pid), children: [] };
  while (!tryCreate(file, content)) {
    const current = read(file);
    if (current === null) continue;
    if (isAlive(current.owner)) {
      throw new StartError(
        `Leaky Tokens is already running on ${dataDir} (process ${current.owner.pid}). Stop it first, or choose another folder with LEAKY_DATA_DIR=<folder> and other ports.`,
      );
    }
    await waitForEnd(current.children, progress);
    removeStale(file, current);
  }
  const save = () => {
    writeFileSync(`${file}.new`, JSON.stringify(content));
    renameSync(`${file}.new`, file);
  };
  return {
    addChild(pid) {
      content.children.push(party(pid));
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

function read(file: string): LockFile | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LockFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new StartError(`${file} is damaged. If nothing runs on this folder, remove that file.`, { cause: error });
  }
}

/** Takes the stale lock away by renaming it; when a rival was faster and the file is its lock, it is put back. */
function removeStale(file: string, stale: LockFile): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') !== JSON.stringify(stale)) linkSync(aside, file);
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

const party = (pid: number): Party => ({ pid, startedAt: startOf(pid) });

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
