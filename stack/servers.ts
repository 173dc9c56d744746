import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { GuardedChild } from '../embedded/child.js';
import { startPostgres } from '../embedded/postgres.js';
import { StartError } from '../embedded/start-error.js';
import { projectRoot } from '../root.js';

/** A server of the stack as it runs. */
export interface RunningServer {
  name: string;
  pid: number;
  /** Resolves when it has ended; a server that a script started is not watched */
  ended?: Promise<string>;
  stop(): Promise<void>;
}

export type ScriptName = 'redis' | 'kafka' | 'cassandra' | 'temporal';

/**
 * Starts a server by its script, with all its state in the folder. It ends with us, also after kill -9.
 * @throws StartError with what the script said
 */
export async function startByScript(
  name: ScriptName,
  folder: string,
  port: number,
  environment: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
): Promise<RunningServer> {
  mkdirSync(folder, { recursive: true });
  const env = { ...environment, LEAKY_SERVER_OWNER: String(process.pid) };
  const stop = () => script(name, ['stop', folder], env, onLine);
  try {
    await script(name, ['start', folder, String(port)], env, onLine);
  } catch (error) {
    await stop();
    throw error;
  }
  return { name, pid: Number(readFileSync(path.join(folder, `${name}.pid`), 'utf8')), stop };
}

/** What a first start would have to fetch or build is there afterwards. */
export const install = (name: ScriptName, environment: NodeJS.ProcessEnv, onLine: (line: string) => void): Promise<void> =>
  script(name, ['install'], environment, onLine);

function script(name: ScriptName, args: readonly string[], env: NodeJS.ProcessEnv, onLine: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // A group of its own: Ctrl-C is ours to pass on, when its turn has come.
    const child = spawn('bash', [path.join(projectRoot, `scripts/servers/${name}.sh`), ...args], {
      env,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      chunk.toString().split('\n').filter(Boolean).forEach(onLine);
    });
    child.once('error', (error) => reject(new StartError(`bash could not be started: ${error.message}`, { cause: error })));
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new StartError(`${name}.sh ${args[0]} failed (exit status ${code}):\n${said}`));
    });
  });
}

/** A PostgreSQL whose acknowledged writes survive the machine. */
export async function startDatabase(name: string, dataDir: string, port: number, password: string, adopt: (child: GuardedChild) => void) {
  mkdirSync(dataDir, { recursive: true });
  const { url, child } = await startPostgres({ dataDir, port, password, fsync: true, onSpawn: adopt });
  return { url, server: { name, pid: child.pid, ended: child.ended, stop: () => child.stop() } satisfies RunningServer };
}
