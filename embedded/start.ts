import { connectTemporal } from '../adapters/temporal/connection.js';
import { migrate } from '../adapters/postgres/migrate.js';
import { createLifecycle, startParts, type Lifecycle } from '../compose/process.js';
import type { Compose } from '../compose/service.js';
import { temporalOptions } from '../compose/temporal.js';
import { ConfigError, type Config } from '../config.js';
import type { Logger } from '../telemetry/log.js';
import { hideSecrets, redact } from '../telemetry/redaction.js';
import { installTemporalRuntime } from '../telemetry/temporal-runtime.js';
import type { GuardedChild } from './child.js';
import { explainFolderFault } from './data-folder.js';
import { lockDataDir, type DataLock } from './lock.js';
import { watchParent } from './parent.js';
import { requireFreePorts } from './ports.js';
import { startPostgres } from './postgres.js';
import { makePrivate, writePrivately } from './private-folder.js';
import { loadSecrets, markAdminPasswordShown, type Secrets } from './secrets.js';
import { findTemporalCli } from './temporal-cli.js';
import { startTemporal } from './temporal-server.js';
import { createFileLogger } from './terminal-log.js';
import { wantedPorts } from './wanted-ports.js';
import { welcome } from './welcome.js';

const TEMPORAL_PATIENCE_MS = 30_000;

interface Preparation {
  config: Config;
  log: Logger;
  lock: DataLock;
  lifecycle: Lifecycle;
  progress: (line: string) => void;
}

/** The whole system in this process, its databases as children. Resolves when it is ready; ends by signal. */
export async function startEverything(given: Config, parts: readonly Compose[]): Promise<void> {
  const startedAt = Date.now() - process.uptime() * 1000;
  writePrivately();
  const progress = (line: string) => void process.stderr.write(`${redact(line)}\n`);
  const lifecycle = createLifecycle(progress, (error) => progress(error instanceof Error ? error.message : String(error)));
  if (given.startedByNpm) watchParent(() => lifecycle.stop('npm has ended; stopping', 0));
  try {
    const lock = await lockDataDir(given.dataDir, progress);
    makePrivate(given.dataDir);
    lifecycle.onStop(() => Promise.resolve(lock.release()));
    await requireFreePorts(wantedPorts(given));
    const secrets = loadSecrets(given.dataDir);
    hideSecrets([secrets.postgresPassword, secrets.masterKey, secrets.adminPassword]);
    const { log, file, flush } = createFileLogger(given.logLevel, given.dataDir);
    lifecycle.onStop(() => Promise.resolve(flush()));
    const config = withSecrets(given, secrets);
    const { config: complete, cli } = await startDatabases({ config, log, lock, lifecycle, progress }, secrets);
    if (lifecycle.stopping) return;
    progress('Starting the services');
    await startParts({ name: 'leaky', config: complete, log, lifecycle, parts });
    if (lifecycle.stopping) return;
    const generated = given.auth.adminPassword === undefined && !secrets.adminPasswordShown;
    const newAdmin = generated ? { username: complete.auth.adminUsername ?? '', password: secrets.adminPassword } : null;
    process.stdout.write(`${welcome({ config: complete, cli, newAdmin, logFile: file, seconds: (Date.now() - startedAt) / 1000 })}\n`);
    if (generated) markAdminPasswordShown(given.dataDir, secrets);
  } catch (error) {
    if (lifecycle.stopping) return;
    const told = explainFolderFault(given.dataDir, error) ?? error;
    const known = told instanceof Error && ['StartError', 'ConfigError'].includes(told.name);
    progress(known ? told.message : told instanceof Error ? (told.stack ?? told.message) : String(told));
    lifecycle.stop('Not started', known ? 2 : 1);
  }
}

/** What nobody configured is taken from the data folder. */
function withSecrets(config: Config, secrets: Secrets): Config {
  const { auth } = config;
  return {
    ...config,
    auth: {
      ...auth,
      masterKey: auth.masterKey ?? secrets.masterKey,
      adminUsername: auth.adminUsername ?? secrets.adminUsername,
      adminPassword: auth.adminPassword ?? secrets.adminPassword,
    },
  };
}

/** PostgreSQL and Temporal at the same time. When one fails, the other is waited for, so that it is there to be stopped. */
async function startDatabases(preparation: Preparation, secrets: Secrets): Promise<{ config: Config; cli: string | null }> {
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

async function preparePostgres(preparation: Preparation, secrets: Secrets): Promise<string> {
  const { config, log, progress } = preparation;
  let { url } = config.postgres;
  if (!url) {
    const started = await startPostgres({
      dataDir: config.dataDir,
      port: config.postgres.embeddedPort,
      password: secrets.postgresPassword,
      fsync: true,
      progress,
      onSpawn: (child) => adopt(preparation, 'PostgreSQL', child),
    });
    url = started.url;
  }
  const applied = await migrate(url);
  if (applied.length > 0) log.info({ applied }, 'schema brought up to date');
  return url;
}

/** `cli` is null when the Temporal server is not ours. */
async function prepareTemporal(preparation: Preparation): Promise<{ address: string; cli: string | null }> {
  const { config, log, progress } = preparation;
  const { namespace, cli: explicit, searchPath, embeddedPort, tls } = config.temporal;
  let { address } = config.temporal;
  let cli: string | null = null;
  if (!address) {
    if (tls) throw new ConfigError('LEAKY_TEMPORAL_TLS and API keys are for a server of yours: set LEAKY_TEMPORAL_ADDRESS');
    cli = await findTemporalCli({ explicit, searchPath, cacheDir: config.cacheDir, progress });
    const uiPort = config.temporal.embeddedUiPort;
    const child = await startTemporal({ cli, dataDir: config.dataDir, port: embeddedPort, uiPort, namespace });
    adopt(preparation, 'Temporal', child);
    address = `127.0.0.1:${embeddedPort}`;
  }
  installTemporalRuntime(log, { metrics: config.telemetry.engineMetrics });
  const temporal = await connectTemporal({ ...temporalOptions(config, address), patienceMs: TEMPORAL_PATIENCE_MS });
  await temporal.close();
  return { address, cli };
}

/** From now on the child belongs to this process: the lock names it, the end of either ends both. */
function adopt({ lock, lifecycle }: Preparation, name: string, child: GuardedChild): void {
  lock.addChild(child.pid);
  lifecycle.onStop(() => child.stop());
  void child.ended.then((how) => {
    if (!lifecycle.stopping) lifecycle.stop(`${name} has ended (${how}):\n${child.logTail()}`, 1);
  });
}
