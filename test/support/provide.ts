import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePortBlock } from '../../embedded/ports.js';
import { spawnGuarded, type GuardedChild } from '../../embedded/child.js';
import { projectRoot } from '../../root.js';
import { atEnd, temporaryFolder } from './servers.js';

/** A server of the full stack, and the three ways to get one for a mocha run: by its address, from Docker, natively. */
export interface Provision {
  /** For messages */
  name: string;
  /** The environment variable that gives an address; what it holds is the caller's affair */
  variable: string;
  /** Of scripts/servers, without `.sh` */
  script: 'redis' | 'kafka' | 'cassandra' | 'temporal';
  /** How many ports in a row it takes when native */
  ports: number;
  /** Arguments of `docker run` after the ones that every container has; the server must answer on `port` of 127.0.0.1 */
  containers(port: number): readonly (readonly string[])[];
  /** More variables for the native script */
  environment?: () => Promise<NodeJS.ProcessEnv>;
  /** Resolves when the server at this address has answered a request. Asked again until it does. */
  answers(address: string): Promise<unknown>;
}

const CONTAINER_TIMEOUT_MS = 300_000;
const ANSWER_TIMEOUT_MS = 60_000;
const GRACE_SECONDS = 20;

/** One of each for the whole mocha run, started by whoever asks first. Resolves with what the variable would hold. */
export function shared(provision: Provision): () => Promise<string> {
  let server: Promise<string> | undefined;
  return () => (server ??= provide(provision));
}

/** A server of its own, for tests that stop it or set it up in another way. @throws Error when none can be had */
export async function provide(provision: Provision): Promise<string> {
  const given = process.env[provision.variable];
  if (given) {
    say(`${provision.name}: ${given}, from ${provision.variable}`);
    await answering(provision, given, ANSWER_TIMEOUT_MS);
    return given;
  }
  const port = await freePortBlock(provision.ports);
  const address = `127.0.0.1:${port}`;
  if (await hasDocker()) {
    say(`${provision.name}: in Docker, on ${address}`);
    return inDocker(provision, port);
  }
  say(`${provision.name}: native, on ${address}`);
  await native(provision, port);
  await answering(provision, address, ANSWER_TIMEOUT_MS);
  return address;
}

/** Runs a script of scripts/servers; the server ends with this process at the latest. Resolves with the folder of its state. */
export async function native({ name, script, environment }: Omit<Provision, 'answers'>, port: number): Promise<string> {
  const folder = temporaryFolder(script);
  const run = async (command: string, more: NodeJS.ProcessEnv = {}) => {
    const env = { ...process.env, LEAKY_SERVER_OWNER: String(process.pid), ...more };
    const code = await serverScript(script, [command, folder, ...(command === 'start' ? [String(port)] : [])], env);
    if (code !== 0) throw new Error(`${name} could not be ${command === 'start' ? 'started' : 'stopped'}; its messages are above`);
  };
  await run('start', await environment?.());
  atEnd(() => run('stop'));
  return folder;
}

/** Resolves with its exit code; what it has to say goes to stderr. */
export function serverScript(script: Provision['script'], args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  return new Promise((resolve, reject) => {
    const file = path.join(projectRoot, `scripts/servers/${script}.sh`);
    const child = spawn('bash', [file, ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

let docker: Promise<boolean> | undefined;

/** Whether an engine answers: the client alone is no use. */
const hasDocker = (): Promise<boolean> =>
  (docker ??= promisify(execFile)('docker', ['info'], { timeout: 5_000 }).then(
    () => true,
    () => false,
  ));

/**
 * In the foreground of a client that hands its signal on and ends with us, so the containers do too. Should the client be killed
 * outright, `--rm` is the only thing left: the container then stays until it is removed by hand.
 */
export async function inDocker(provision: Provision, port: number, client = 'docker'): Promise<string> {
  const logs = temporaryFolder(`docker-${provision.script}`);
  const running: GuardedChild[] = [];
  for (const [index, args] of provision.containers(port).entries()) {
    const container = await spawnGuarded({
      name: provision.name,
      command: client,
      args: ['run', '--rm', '--name', containerName(port, index), ...args],
      signal: 'TERM',
      graceSeconds: GRACE_SECONDS,
      logFile: path.join(logs, `${index}.log`),
      env: process.env,
      cwd: projectRoot,
    });
    running.push(container);
    atEnd(() => container.stop());
  }
  const gone = Promise.race(running.map(async (container) => fail(`${await container.ended}\n${container.logTail()}`)));
  gone.catch(() => undefined);
  const address = `127.0.0.1:${port}`;
  await Promise.race([answering(provision, address, CONTAINER_TIMEOUT_MS), gone]);
  return address;
}

/** A container can join the network of the first one of its provision by this name. */
export const containerName = (port: number, index = 0): string => `leaky-test-${process.pid}-${port}-${index}`;

async function answering({ name, answers }: Provision, address: string, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      await answers(address);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${name} at ${address} does not answer`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const fail = (what: string): never => {
  throw new Error(`the container has ended: ${what}`);
};
const say = (line: string) => process.stderr.write(`${line}\n`);
