import { migrate } from '../adapters/postgres/migrate.js';
import { connectTemporal } from '../adapters/temporal/connection.js';
import type { Lifecycle } from '../compose/process.js';
import { temporalOptions } from '../compose/temporal.js';
import { ConfigError, type Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';
import { installTemporalRuntime } from '../telemetry/temporal-runtime.js';
import type { DataLock } from './lock.js';
import { startPostgres } from './postgres.js';
import { postgresAnswers, temporalAnswers } from './probes.js';
import type { Secrets } from './secrets.js';
import { StartError } from './start-error.js';
import { Supervisor, type SupervisedOptions } from './supervisor.js';
import { findTemporalCli } from './temporal-cli.js';
import { startTemporal, type EmbeddedTemporalOptions } from './temporal-server.js';

const TEMPORAL_PATIENCE_MS = 30_000;

export interface Preparation {
  config: Config;
  log: Logger;
  lock: DataLock;
  lifecycle: Lifecycle;
  /** Filled by what is started here */
  supervisors: Supervisor[];
  progress: (line: string) => void;
}

/**
 * PostgreSQL and Temporal at the same time, as children unless they are configured. When one fails, the other is waited for, so
 * that it is there to be stopped. Resolves with their addresses in the configuration, and the binary that runs Temporal.
 */
export async function startDatabases(preparation: Preparation, secrets: Secrets): Promise<{ config: Config; cli: string | null }> {
  const { config, progress } = preparation;
  progress('Starting PostgreSQL and Temporal');
  const [postgres, temporal] = await Promise.allSettled([preparePostgres(preparation, secrets), prepareTemporal(preparation)]);
  if (postgres.status === 'rejected') throw postgres.reason;
  if (temporal.status === 'rejected') throw temporal.reason;
  const { address, cli } = temporal.value;
  return {
    config: { ...config, postgres: { ...config.postgres, url: postgres.value }, temporal: { ...config.temporal, address } },
    cli,
  };
}

async function preparePostgres(preparation: Preparation, { postgresPassword: password }: Secrets): Promise<string> {
  const { config, log, progress } = preparation;
  const { url: configured, embeddedPort: port } = config.postgres;
  let url = configured ?? '';
  if (!configured) {
    const options = { dataDir: config.dataDir, port, password, fsync: true, progress };
    const start: SupervisedOptions['start'] = async (onSpawn) => {
      const started = await startPostgres({ ...options, onSpawn });
      url = started.url;
      return started.child;
    };
    await keepRunning(preparation, { name: 'PostgreSQL', start, probe: () => postgresAnswers(port) });
  }
  const applied = await migrate(url);
  if (applied.length > 0) log.info({ applied }, 'schema brought up to date');
  return url;
}

/** `cli` is null when the Temporal server is not ours. */
async function prepareTemporal(preparation: Preparation): Promise<{ address: string; cli: string | null }> {
  const { config, log, progress } = preparation;
  const { address: configured, namespace, cli: explicit, searchPath, embeddedPort: port, embeddedUiPort: uiPort, tls } = config.temporal;
  installTemporalRuntime(log, { metrics: config.telemetry.engineMetrics });
  if (configured) {
    await untilItAnswers(config, configured);
    return { address: configured, cli: null };
  }
  if (tls) throw new ConfigError('LEAKY_TEMPORAL_TLS and API keys are for a server of yours: set LEAKY_TEMPORAL_ADDRESS');
  const cli = await findTemporalCli({ explicit, searchPath, cacheDir: config.cacheDir, progress });
  const address = `127.0.0.1:${port}`;
  const start = (onSpawn: Parameters<SupervisedOptions['start']>[0]) =>
    startAnswering({ cli, dataDir: config.dataDir, port, uiPort, namespace }, onSpawn, () => untilItAnswers(config, address));
  await keepRunning(preparation, { name: 'Temporal', start, probe: () => temporalAnswers(port) });
  return { address, cli };
}

async function untilItAnswers(config: Config, address: string): Promise<void> {
  const temporal = await connectTemporal({ ...temporalOptions(config, address), patienceMs: TEMPORAL_PATIENCE_MS });
  await temporal.close();
}

/** @throws StartError when it ends first; it does not run then */
async function startAnswering(
  options: EmbeddedTemporalOptions,
  onSpawn: Parameters<SupervisedOptions['start']>[0],
  answers: () => Promise<void>,
) {
  const child = await startTemporal(options);
  onSpawn(child);
  const gone = child.ended.then((how) => {
    throw new StartError(`Temporal has ended while starting (${how}):\n${child.logTail()}`);
  });
  try {
    await Promise.race([answers(), gone]);
    return child;
  } catch (error) {
    await child.stop();
    throw error;
  }
}

type Kept = Pick<SupervisedOptions, 'name' | 'start' | 'probe'>;

/** From now on the child belongs to this process: the lock names it, and it is started anew when it ends or hangs. */
async function keepRunning({ config, lock, lifecycle, supervisors, progress }: Preparation, { name, start, probe }: Kept): Promise<void> {
  const supervisor = new Supervisor({
    name,
    probe,
    start: (onSpawn) =>
      start((child) => {
        onSpawn(child);
        lock.addChild(child.pid);
      }),
    dataDir: config.dataDir,
    say: progress,
    onGivenUp: (reason) => lifecycle.stop(reason, 1),
  });
  supervisors.push(supervisor);
  lifecycle.onStop(() => supervisor.stop());
  await supervisor.start();
}
