import { createLifecycle, startParts } from '../compose/process.js';
import type { Compose } from '../compose/service.js';
import type { Config } from '../config.js';
import { hideSecrets, redact } from '../telemetry/redaction.js';
import { explainFolderFault } from './data-folder.js';
import { startDatabases } from './databases.js';
import { lockDataDir } from './lock.js';
import { watchParent } from './parent.js';
import { requireFreePorts } from './ports.js';
import { makePrivate, writePrivately } from './private-folder.js';
import { loadSecrets, markAdminPasswordShown, type Secrets } from './secrets.js';
import type { Supervisor } from './supervisor.js';
import { createFileLogger } from './terminal-log.js';
import { wantedPorts } from './wanted-ports.js';
import { welcome } from './welcome.js';

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
    const supervisors: Supervisor[] = [];
    const { config: complete, cli } = await startDatabases({ config, log, lock, lifecycle, supervisors, progress }, secrets);
    if (lifecycle.stopping) return;
    progress('Starting the services');
    await startParts({ name: 'leaky', config: complete, log, lifecycle, parts });
    lifecycle.onStop(async () => void (await Promise.all(supervisors.map((supervisor) => supervisor.prepareStop()))));
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
