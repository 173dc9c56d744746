import path from 'node:path';
import type { GuardedChild } from '../embedded/child.js';
import { lockDataDir, type DataLock } from '../embedded/lock.js';
import { makePrivate, writePrivately } from '../embedded/private-folder.js';
import { requireFreePorts } from '../embedded/ports.js';
import { loadSecrets, type Secrets } from '../embedded/secrets.js';
import { createRoles } from './roles.js';
import { environments, type Addresses } from './environments.js';
import { portUses, type StackPorts } from './ports.js';
import { install, startByScript, startDatabase, type RunningServer, type ScriptName } from './servers.js';
import { runToEnd, StackService } from './service.js';

export interface StackOptions {
  /** Holds all state: data, logs, secrets */
  dataDir: string;
  ports: StackPorts;
  /** Handed to every process; settings of the stack go before it */
  environment: NodeJS.ProcessEnv;
  /** The provider stubs run elsewhere, and `environment` says where */
  withoutStubs?: boolean;
  nodeFlags?: readonly string[];
  say: (line: string) => void;
}

export interface Stack {
  dataDir: string;
  ports: StackPorts;
  secrets: Secrets;
  postgresUrl: string;
  /** For `leaky` commands on this stack */
  environment: NodeJS.ProcessEnv;
  servers: readonly RunningServer[];
  service(name: string): StackService;
  services: readonly StackService[];
  /** The gateway first, the databases last. May be called more than once, and while it starts. */
  stop(): Promise<void>;
}

const TEMPORAL_DATABASE = 'PostgreSQL of Temporal';
const SCRIPTS: readonly ScriptName[] = ['redis', 'kafka', 'cassandra', 'temporal'];

/**
 * The full stack, each part a process of its own:
 *
 *   PostgreSQL, Redis, Kafka, Cassandra, Temporal on its PostgreSQL ──▶ migrate, setup ──▶ stubs, auth
 *       ──▶ two token services, analytics, worker ──▶ gateway
 *
 * Each step begins when what it needs is ready. `onStarting` gets the way to stop at once, so that a start can be broken off.
 * @throws StartError; what was started has been stopped then
 */
export async function startStack(options: StackOptions, onStarting: (stop: () => Promise<void>) => void = () => undefined): Promise<Stack> {
  const starting = new Starting(options);
  onStarting(() => starting.stop());
  try {
    return await starting.run();
  } catch (error) {
    await starting.stop();
    throw error;
  }
}

class Starting {
  private readonly stops: (() => Promise<unknown>)[] = [];
  private readonly services: StackService[] = [];
  private readonly servers: RunningServer[] = [];
  private stopped: Promise<void> | null = null;
  private lock: DataLock | undefined;
  /** Children alone do not keep this process alive; they would end with it. */
  private readonly alive = setInterval(() => undefined, 60_000);

  constructor(private readonly options: StackOptions) {}

  async run(): Promise<Stack> {
    const { dataDir, ports, environment, say } = this.options;
    writePrivately();
    this.lock = await lockDataDir(dataDir, say);
    makePrivate(dataDir);
    await requireFreePorts(portUses(ports).map(([port, purpose]) => ({ port, purpose, host: '127.0.0.1', variable: '--ports' })));
    const secrets = loadSecrets(dataDir);
    for (const name of SCRIPTS) await install(name, environment, say);
    const addresses = await this.step('PostgreSQL, Redis, Kafka, Cassandra, Temporal', () => this.startServers(secrets));
    const envs = environments(this.options, addresses, secrets);
    await this.step('Schema, namespace, topics, keyspace', async () => {
      await createRoles(addresses.postgresUrl);
      await runToEnd('migrate', envs.common, this.log('migrate'));
      await runToEnd('setup', envs.common, this.log('setup'));
    });
    const stubs = this.options.withoutStubs ? [] : [this.service('stubs', 'stubs', ports.stubs.openai, envs.common)];
    await this.startTogether('Provider stubs and auth', [...stubs, this.service('auth', 'auth', ports.auth, envs.auth)]);
    await this.startTogether('Two token services, analytics, worker', [
      this.service('tokens-1', 'tokens', ports.tokens[0], envs.tokens(ports.tokens[0])),
      this.service('tokens-2', 'tokens', ports.tokens[1], envs.tokens(ports.tokens[1])),
      this.service('analytics', 'analytics', ports.analytics, envs.analytics),
      this.service('worker', 'worker', ports.worker, envs.worker),
    ]);
    await this.startTogether('Gateway', [this.service('gateway', 'gateway', ports.gateway, envs.gateway)]);
    return {
      dataDir,
      ports,
      secrets,
      postgresUrl: addresses.postgresUrl,
      environment: envs.common,
      servers: this.servers,
      services: this.services,
      service: (name) => this.find(name),
      stop: () => this.stop(),
    };
  }

  /** Latest first; a part that does not stop must not keep the others alive. */
  stop(): Promise<void> {
    this.stopped ??= (async () => {
      const faults: unknown[] = [];
      for (let stop = this.stops.pop(); stop; stop = this.stops.pop()) await stop().catch((error: unknown) => faults.push(error));
      this.lock?.release();
      clearInterval(this.alive);
      if (faults.length > 0) throw new AggregateError(faults, faults.map(String).join('; '));
    })();
    return this.stopped;
  }

  private async startServers(secrets: Secrets): Promise<Addresses> {
    const { dataDir, ports } = this.options;
    this.stops.push(() => this.stopServers());
    let postgresUrl = '';
    await allOf([
      this.startPostgres('PostgreSQL', dataDir, ports.postgres, secrets).then((url) => void (postgresUrl = url)),
      this.startScript('redis', ports.redis),
      this.startScript('kafka', ports.kafka),
      this.startScript('cassandra', ports.cassandra),
      this.startTemporal(secrets),
    ]);
    return {
      postgresUrl,
      redis: `redis://127.0.0.1:${ports.redis}`,
      kafka: `127.0.0.1:${ports.kafka}`,
      cassandra: `127.0.0.1:${ports.cassandra}`,
      temporal: `127.0.0.1:${ports.temporal}`,
    };
  }

  private async startTemporal(secrets: Secrets): Promise<void> {
    const { dataDir, ports } = this.options;
    const folder = path.join(dataDir, 'temporal');
    const url = await this.startPostgres(TEMPORAL_DATABASE, folder, ports.temporalPostgres, secrets);
    await this.startScript('temporal', ports.temporal, { TEMPORAL_POSTGRES_URL: url });
  }

  private async startPostgres(name: string, folder: string, port: number, { postgresPassword }: Secrets): Promise<string> {
    const { say } = this.options;
    const keeping = { name, dataDir: folder, say, onSpawn: (child: GuardedChild) => this.adopt(child) };
    const { url, server } = await startDatabase(keeping, port, postgresPassword);
    this.started(server);
    return url;
  }

  private async startScript(name: ScriptName, port: number, more: NodeJS.ProcessEnv = {}): Promise<void> {
    const { dataDir, environment, say } = this.options;
    const keeping = { name, dataDir, say };
    this.started(await startByScript(name, path.join(dataDir, name), port, { ...environment, ...more }, keeping));
  }

  private started(server: RunningServer): void {
    this.servers.push(server);
    // Broken off meanwhile: nobody else would end it before we have ended.
    if (this.stopped !== null) void server.stop();
  }

  /** At the same time, but Temporal before its database. */
  private async stopServers(): Promise<void> {
    const isLast = ({ name }: RunningServer) => name === TEMPORAL_DATABASE;
    await allOf(this.servers.filter((server) => !isLast(server)).map((server) => server.stop()));
    await allOf(this.servers.filter(isLast).map((server) => server.stop()));
  }

  private service(name: string, command: string, port: number, environment: NodeJS.ProcessEnv): StackService {
    const { nodeFlags = [], say } = this.options;
    const onSpawn = (child: GuardedChild) => this.adopt(child);
    const service = new StackService({ name, command, port, environment, nodeFlags, logFile: this.log(name), say, onSpawn });
    this.services.push(service);
    return service;
  }

  private async startTogether(title: string, services: readonly StackService[]): Promise<void> {
    this.stops.push(() => Promise.all(services.map((service) => service.stop())));
    await this.step(title, () => allOf(services.map((service) => service.start())));
  }

  private async step<T>(title: string, work: () => Promise<T>): Promise<T> {
    if (this.stopped !== null) throw new Error('stopped while starting');
    const began = Date.now();
    const result = await work();
    this.options.say(`${title}: ready after ${((Date.now() - began) / 1000).toFixed(1)} s`);
    return result;
  }

  private adopt(child: GuardedChild): void {
    this.lock?.addChild(child.pid);
  }

  private find(name: string): StackService {
    const found = this.services.find((service) => service.name === name);
    if (!found) throw new Error(`The stack has no service ${name}`);
    return found;
  }

  private log(name: string): string {
    return path.join(this.options.dataDir, 'logs', `${name}.log`);
  }
}

/** Waits for all of them also when one fails, so that what has started is known and can be stopped. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(work);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
