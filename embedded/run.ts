import { spawn } from 'node:child_process';

export interface RunResult {
  ok: boolean;
  /** Why it failed, in one line; empty when ok */
  fault: string;
  output: string;
}

/**
 * Runs a helper program to its end. After the time limit its whole process group is killed, so that nothing it started stays
 * behind. Never throws: a program that is missing is a result too.
 */
export function runToEnd(command: string, args: readonly string[], options: { timeoutMs: number }): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const chunks: Buffer[] = [];
    const end = (fault: string) => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve({ ok: fault === '', fault, output: Buffer.concat(chunks).toString('utf8').trim() });
    };
    const kill = () => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      kill();
    }, options.timeoutMs);
    process.on('exit', kill);
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ENOENT' ? `${command} is not installed` : error.message));
    child.once('close', (code, signal) => {
      if (late) end(`no end within ${options.timeoutMs / 1000} s`);
      else if (code === 0) end('');
      else end(lastLine(Buffer.concat(chunks)) || (signal ? `ended by ${signal}` : `exit status ${code}`));
    });
  });
}

function lastLine(output: Buffer): string {
  const lines = output.toString('utf8').trim().split('\n');
  // Of a traceback or a stack the line that names the error says more than the last one.
  return (lines.findLast((line) => /error|fail/i.test(line)) ?? lines.at(-1) ?? '').trim().slice(0, 300);
}
