import { existsSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';

/** Larger than any process id there is, and one that PostgreSQL takes. */
const NOBODY = 2 ** 30;

/**
 * PostgreSQL leaves `postmaster.pid` behind when it is killed, and refuses to start while the number in it is alive: after a restart
 * of the machine, and in a container at every start, it may be anybody's. A number that is not that of a PostgreSQL on this folder
 * is replaced by one that nobody has. The rest of the file stays: PostgreSQL finds by it the shared memory of backends that live on.
 * To be called by who holds the folder's lock. @returns whether the file named a stranger
 */
export function disownPostmasterPid(folder: string): boolean {
  const file = path.join(folder, 'postmaster.pid');
  if (!existsSync(file)) return false;
  const [first = '', ...rest] = readFileSync(file, 'utf8').split('\n');
  const pid = Number(first);
  if (!Number.isInteger(pid) || pid <= 0 || pid === NOBODY || !isAlive(pid) || servesFolder(pid, folder)) return false;
  writeFileSync(file, [NOBODY, ...rest].join('\n'));
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** PostgreSQL's working directory is its data folder. Where that cannot be seen, any program of its name counts. */
function servesFolder(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    const command = spawnSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' }).stdout;
    return /\bpost(?:gres|master)\b/.test(command.split(' ', 1)[0] ?? '');
  }
}
