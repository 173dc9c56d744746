import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { distRoot, projectRoot } from '../../root.js';
import { atEnd } from './servers.js';

/** `leaky <command>` as a process of its own, for tests of how it starts, answers probes and ends. */
export interface LeakyService {
  process: ChildProcess;
  /** What it wrote so far */
  output(): string;
  /** Exit code or signal */
  ended: Promise<number | string | null>;
}

/** Only these settings reach it. It is killed with the mocha run at the latest. */
export function startLeaky(command: string, settings: Record<string, string>): LeakyService {
  const child = spawn(process.execPath, [path.join(distRoot, 'leaky.js'), command], {
    cwd: projectRoot,
    // npm_lifecycle_event: it watches its parent then, and ends with it.
    env: { PATH: process.env.PATH, npm_lifecycle_event: 'test', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const read = (chunk: Buffer) => void (output += chunk.toString());
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const ended = new Promise<number | string | null>((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)));
  atEnd(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  return { process: child, output: () => output, ended };
}
