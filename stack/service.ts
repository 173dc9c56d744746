import path from 'node:path';
import { spawnGuarded, type GuardedChild } from '../embedded/child.js';
import { StartError } from '../embedded/start-error.js';
import { distRoot, projectRoot } from '../root.js';

export interface ServiceOptions {
  /** Names its log and what is said of it */
  name: string;
  /** Of `leaky` */
  command: string;
  /** Of its probes */
  port: number;
  environment: NodeJS.ProcessEnv;
  logFile: string;
  nodeFlags?: readonly string[];
  say: (line: string) => void;
  onSpawn: (child: GuardedChild) => void;
}

const READY_TIMEOUT_MS = 60_000;
const READY_EVERY_MS = 100;
/** Above the services' own limit, LEAKY_SHUTDOWN_LIMIT_MS. */
const GRACE_SECONDS = 45;
const RESTART_AFTER_MS = 1_000;
const MOST_RESTARTS = 5;

/**
 * One `leaky <command>` that is kept running: when it ends unasked, it is started anew, as an orchestrator would.
 *
 *   start ──▶ ready ──ended──▶ a second later, start     stop(): ends it in order and starts it no more
 *
 * After five starts in a row that did not get ready it is given up.
 */
export class StackService {
  private child: GuardedChild | null = null;
  private stopping = false;
  private failures = 0;

  constructor(private readonly options: ServiceOptions) {}

  get name(): string {
    return this.options.name;
  }

  get port(): number {
    return this.options.port;
  }

  /** Of the watchdog, which leads the process group of the service */
  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Resolves when it is ready. @throws StartError when it ends before, or takes too long */
  async start(): Promise<void> {
    const { name, say } = this.options;
    const child = await this.spawn();
    let end: string | null = null;
    void child.ended.then((how) => (end = how));
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.isReady())) {
      if (end !== null) throw new StartError(`${name} has ended while starting (${end}):\n${child.logTail()}`);
      if (Date.now() > deadline) throw new StartError(`${name} is not ready; see ${this.options.logFile}:\n${child.logTail()}`);
      await new Promise((resolve) => setTimeout(resolve, READY_EVERY_MS));
    }
    this.failures = 0;
    void child.ended.then((how) => {
      if (this.stopping) return;
      say(`${name} has ended (${how}); starting it anew`);
      setTimeout(() => void this.restart(), RESTART_AFTER_MS);
    });
  }

  /** Kills it outright, as a machine does that loses its power. It is started anew a second later. */
  async kill(): Promise<void> {
    const child = this.child;
    if (!child) return;
    process.kill(-child.pid, 'SIGKILL');
    await child.ended;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.child?.stop();
  }

  private async restart(): Promise<void> {
    if (this.stopping) return;
    try {
      await this.start();
      this.options.say(`${this.name} is ready again`);
    } catch (error) {
      await this.child?.stop();
      if (this.stopping) return;
      this.options.say(error instanceof Error ? error.message : String(error));
      if (++this.failures < MOST_RESTARTS) setTimeout(() => void this.restart(), RESTART_AFTER_MS);
      else this.options.say(`${this.name} is given up`);
    }
  }

  private async spawn(): Promise<GuardedChild> {
    const { name, command, environment, logFile, nodeFlags = [], onSpawn } = this.options;
    this.child = await spawnGuarded({
      name,
      command: process.execPath,
      args: [...nodeFlags, path.join(distRoot, 'leaky.js'), command],
      signal: 'TERM',
      graceSeconds: GRACE_SECONDS,
      logFile,
      env: environment,
      cwd: projectRoot,
    });
    onSpawn(this.child);
    return this.child;
  }

  private async isReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}/health/ready`, { signal: AbortSignal.timeout(3_000) });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}

/** Runs a command of `leaky` to its end. @throws StartError with what it wrote last when it fails */
export async function runToEnd(command: string, environment: NodeJS.ProcessEnv, logFile: string): Promise<void> {
  const child = await spawnGuarded({
    name: command,
    command: process.execPath,
    args: [path.join(distRoot, 'leaky.js'), command],
    signal: 'TERM',
    graceSeconds: GRACE_SECONDS,
    logFile,
    env: environment,
    cwd: projectRoot,
  });
  const how = await child.ended;
  if (how !== 'exit status 0') throw new StartError(`leaky ${command} failed (${how}):\n${child.logTail()}`);
}
