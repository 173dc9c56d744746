import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { boundLog, tailOf } from '../embedded/child-log.js';
import type { GuardedChild } from '../embedded/child.js';
import { startPostgres } from '../embedded/postgres.js';
import { postgresAnswers } from '../embedded/probes.js';
import { StartError } from '../embedded/start-error.js';
import { Supervisor, type SupervisedOptions } from '../embedded/supervisor.js';
import { projectRoot } from '../root.js';

/** A server of the stack, which is started anew when it ends by itself. */
export interface RunningServer {
  name: string;
  /** Of the one that runs now */
  readonly pid: number;
  stop(): Promise<void>;
}

export interface Keeping {
  name: string;
  dataDir: string;
  say: (line: string) => void;
  /** Called for each process of it */
  onSpawn: (child: GuardedChild) => void;
}

export type ScriptName = 'redis' | 'kafka' | 'cassandra' | 'temporal';

/** @throws what its first start throws */
async function kept(
  { name, dataDir, say }: Omit<Keeping, 'onSpawn'>,
  start: SupervisedOptions['start'],
  probe?: () => Promise<void>,
): Promise<RunningServer> {
  const supervisor = new Supervisor({
    name,
    start,
    probe: probe ?? (() => Promise.resolve()),
    dataDir,
    say,
    onGivenUp: (reason) => say(`${reason}. It is given up; stop the stack and start it again`),
  });
  await supervisor.start();
  return {
    name,
    get pid() {
      return supervisor.pid ?? 0;
    },
    stop: () => supervisor.stop(),
  };
}

/**
 * Starts a server by its script, with all its state in the folder. It ends with us, also after kill -9.
 * @throws StartError with what the script said
 */
export function startByScript(
  name: ScriptName,
  folder: string,
  port: number,
  environment: NodeJS.ProcessEnv,
  keeping: Omit<Keeping, 'onSpawn'>,
): Promise<RunningServer> {
  return kept(keeping, async (onSpawn) => {
    const child = await runScript(name, folder, port, environment, keeping.say);
    onSpawn(child);
    return child;
  });
}

async function runScript(
  name: ScriptName,
  folder: string,
  port: number,
  environment: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
): Promise<GuardedChild> {
  mkdirSync(folder, { recursive: true });
  const env = { ...environment, LEAKY_SERVER_OWNER: String(process.pid) };
  const stop = () => script(name, ['stop', folder], env, onLine);
  try {
    await script(name, ['start', folder, String(port)], env, onLine);
  } catch (error) {
    await stop();
    throw error;
  }
  const pid = Number(readFileSync(path.join(folder, `${name}.pid`), 'utf8'));
  const log = path.join(folder, `${name}.log`);
  const cut = boundLog(log);
  const ended = endOf(pid);
  void ended.then(cut);
  return {
    pid,
    ended,
    logTail: () => tailOf(log, 0),
    stop,
    kill: () => void process.kill(pid, 'SIGKILL'),
  };
}

const LOOK_EVERY_MS = 250;

/** It is no child of ours, so nobody tells us of its end. */
async function endOf(pid: number): Promise<string> {
  while (await isAlive(pid)) await delay(LOOK_EVERY_MS, undefined, { ref: false });
  return 'its process is gone';
}

/** A zombie has ended. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
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
export async function startDatabase(keeping: Keeping, port: number, password: string): Promise<{ url: string; server: RunningServer }> {
  const { dataDir } = keeping;
  mkdirSync(dataDir, { recursive: true });
  let url = '';
  const start: SupervisedOptions['start'] = async (onSpawn) => {
    const spawned = (child: GuardedChild) => {
      onSpawn(child);
      keeping.onSpawn(child);
    };
    const started = await startPostgres({ dataDir, port, password, fsync: true, onSpawn: spawned });
    url = started.url;
    return started.child;
  };
  const server = await kept(keeping, start, () => postgresAnswers(port));
  return { url, server };
}
