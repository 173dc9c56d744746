import { readFileSync } from 'node:fs';

const EVERY_MS = 500;
const SHELLS = /^(sh|dash|bash|ash|busybox|zsh)$/;

/**
 * When npm that started us is killed with -9, no signal reaches us: we would go on unseen, holding the ports. So its end is
 * watched for. Between npm and us there may be one shell; where there is no /proc only the parent itself is watched.
 */
export function watchParent(onGone: () => void): void {
  const parent = process.ppid;
  const npm = SHELLS.test(commandOf(parent) ?? '') ? parentOf(parent) : null;
  const timer = setInterval(() => {
    if (process.ppid === parent && (npm === null || parentOf(parent) === npm)) return;
    clearInterval(timer);
    onGone();
  }, EVERY_MS);
  timer.unref();
}

const commandOf = (pid: number): string | null => read(pid, (text) => text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')));
const parentOf = (pid: number): number | null => read(pid, (text) => Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]));

function read<T>(pid: number, parse: (stat: string) => T): T | null {
  try {
    return parse(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // No /proc here, or the process has ended, which its child sees by its own new parent.
    return null;
  }
}
