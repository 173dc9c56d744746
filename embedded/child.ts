import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { boundLog, openLog, tailOf } from './child-log.js';

/**
 * A child of ours must never outlive us, not even after kill -9, and must not get the terminal's Ctrl-C before we have drained.
 * So it runs below a shell in a session of its own that holds one end of a pipe; the other end is ours. When that end closes,
 * because we closed it or because we are dead, the child gets its graceful signal, and SIGKILL when the grace is over.
 *
 *   us ──pipe──▶ reader (waits for end of file, then signals)     the shell waits for the child, ends the reader, and
 *                                     └──────────▶ child ◀─waits─ exits with the child's status
 *
 * The reader is a process apart from the waiting shell: should the shell itself be killed, the child still dies with us.
 */
const WATCHDOG = `
signal=$1 grace=$2; shift 2
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
(
  exec >/dev/null 2>&1
  while read -r _; do :; done <&3
  kill -s "$signal" "$child"
  while [ "$grace" -gt 0 ] && kill -0 "$child"; do sleep 0.2 || sleep 1; grace=$((grace - 1)); done
  kill -s KILL "$child"
) &
reader=$!
exec 3<&-
wait "$child"
status=$?
kill -s KILL "$reader" 2>/dev/null
exit "$status"
`;

const TICKS_PER_SECOND = 5;

export interface GuardedChild {
  /** Of the watchdog, which lives exactly as long as the child */
  readonly pid: number;
  /** Resolves with a short description of the end ("exit status 1") */
  readonly ended: Promise<string>;
  /** The last lines it wrote */
  logTail(): string;
  /** Sends the graceful signal and waits for the end; SIGKILL after the grace */
  stop(): Promise<void>;
  /** SIGKILL at once, also for a child that is stopped */
  kill(): void;
}

export interface GuardedOptions {
  name: string;
  command: string;
  args: readonly string[];
  signal: 'INT' | 'TERM';
  graceSeconds: number;
  logFile: string;
  uid?: number | undefined;
  gid?: number | undefined;
  env: NodeJS.ProcessEnv;
  cwd: string;
}

/** @throws Error when the shell or the log file can't be opened; a command that can't run ends the child instead */
export async function spawnGuarded(options: GuardedOptions): Promise<GuardedChild> {
  const log = openLog(options.logFile);
  const offset = statSync(options.logFile).size;
  const ticks = String(options.graceSeconds * TICKS_PER_SECOND);
  const child = spawn('/bin/sh', ['-c', WATCHDOG, 'leaky-watchdog', options.signal, ticks, options.command, ...options.args], {
    stdio: ['pipe', log, log],
    detached: true,
    env: options.env,
    cwd: options.cwd,
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid }),
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ? `signal ${signal}` : `exit status ${code ?? 0}`));
  });
  await started(child, options.name);
  // A signal that could not be sent: its end is heard by itself.
  child.on('error', () => undefined);
  // The pipe must not keep our process alive: when all else is done we may end, and the child with us. Nor may its error end us.
  const pipe = child.stdin as Socket;
  pipe.on('error', () => undefined);
  pipe.unref();
  child.unref();
  void ended.then(boundLog(options.logFile));
  return {
    pid: child.pid ?? 0,
    ended,
    logTail: () => tailOf(options.logFile, offset),
    stop: async () => {
      child.ref();
      pipe.destroy();
      await ended;
    },
    kill: () => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    },
  };
}

function started(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(new Error(`${name} could not be started: ${error.message}`, { cause: error })));
  });
}
