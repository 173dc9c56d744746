import { spawnSync } from 'node:child_process';
import { chownSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { StartError } from './start-error.js';

/**
 * PostgreSQL refuses to run as root. When we are root it runs as an unprivileged user that exists already: `postgres`, else
 * `nobody`. A project below /root or in a folder of mode 0700 is out of that user's reach; then the one capability that passes
 * folder permissions (dac_override) goes along with it, by util-linux's setpriv. Nobody's permissions are changed.
 */
export interface Runner {
  /** Wraps a command so that it runs as the right user */
  wrap(command: string, args: readonly string[]): { command: string; args: string[]; uid?: number; gid?: number };
  /** Gives a file or folder to that user */
  own(file: string): void;
}

const asOurselves: Runner = { wrap: (command, args) => ({ command, args: [...args] }), own: () => undefined };

/** Gives the folder that holds all state, of mode 0700, to the user that PostgreSQL runs as; root gets in all the same. */
export function giveToServer(folder: string): void {
  const user = process.getuid?.() === 0 ? serverUser() : null;
  if (user) chownSync(folder, user.uid, user.gid);
}

const serverUser = () => findUser('postgres') ?? findUser('nobody');

/** @param reach files that the user must be able to open, or folders it must be able to enter */
export function chooseRunner(reach: readonly string[]): Runner {
  if (process.getuid?.() !== 0) return asOurselves;
  const user = serverUser();
  if (!user) {
    throw new StartError(
      'PostgreSQL refuses to run as root, and neither of the users "postgres" and "nobody" exists. Start as an ordinary user, or point LEAKY_POSTGRES_URL at a server.',
    );
  }
  const own = (file: string) => chownSync(file, user.uid, user.gid);
  if (reach.every((file) => canReach(file, user))) {
    return { own, wrap: (command, args) => ({ command, args: [...args], uid: user.uid, gid: user.gid }) };
  }
  if (spawnSync('setpriv', ['--version'], { stdio: 'ignore' }).status !== 0) {
    const folder = path.dirname(reach.find((file) => !canReach(file, user)) ?? '');
    throw new StartError(
      `PostgreSQL must run as the user "${user.name}" (it refuses root), who may not enter ${folder}. Install setpriv (util-linux), move the project to a folder that everyone may enter, start as an ordinary user, or point LEAKY_POSTGRES_URL at a server.`,
    );
  }
  const privileges = [
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    '--init-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    '--securebits=+no_setuid_fixup',
  ];
  return { own, wrap: (command, args) => ({ command: 'setpriv', args: [...privileges, '--', command, ...args] }) };
}

interface OsUser {
  name: string;
  uid: number;
  gid: number;
}

function findUser(name: string): OsUser | null {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid && gid ? { name, uid: Number(uid), gid: Number(gid) } : null;
}

function canReach(file: string, user: OsUser): boolean {
  return spawnSync('/bin/sh', ['-c', '[ -r "$1" ] && [ -x "$1" ]', 'sh', file], { uid: user.uid, gid: user.gid, cwd: '/' }).status === 0;
}
