import { Command } from 'commander';
import { realpathSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { configCommands } from './compose/configuration.js';
import type { ReplayOptions } from './compose/replay.js';
import type { Resources } from './compose/resources.js';
import type { Compose } from './compose/service.js';
import { ConfigError, readConfig, requireFor, type Config } from './config.js';
import { hideSecrets, redact } from './telemetry/redaction.js';

/** The one executable. Each command loads only what it needs: `leaky --help` starts neither the SDK nor a pool. */
const SERVICES = {
  gateway: ['the gateway', async () => (await import('./compose/gateway.js')).composeGateway],
  auth: ['the auth service', async () => (await import('./compose/auth.js')).composeAuth],
  tokens: ['the token service with its consumption worker', async () => (await import('./compose/tokens.js')).composeTokens],
  analytics: ['the analytics service', async () => (await import('./compose/analytics.js')).composeAnalytics],
  worker: [
    'the workers: purchases, maintenance, batches of dead token services',
    async () => (await import('./compose/worker-process.js')).composeWorkerProcess,
  ],
  'codec-server': [
    'the codec server: shows encrypted payloads to the Temporal Web UI and CLI',
    async () => (await import('./compose/codec-server.js')).composeCodecServer,
  ],
  stubs: ['the stubs of the three providers', async () => (await import('./compose/stubs.js')).composeStubs],
} as const satisfies Record<string, readonly [string, () => Promise<Compose>]>;

export async function run(args: readonly string[]): Promise<void> {
  const program = new Command('leaky')
    .description('Leaky Tokens: sells and meters LLM tokens; every purchase and consumption is a Temporal workflow.')
    .addHelpText('after', '\nConfiguration: environment variables or LEAKY_CONFIG_FILE; `leaky config list` shows them all.');
  program.command('start').description('everything in this process, with PostgreSQL and Temporal as its children').action(guarded(start));
  for (const [name, [description, load]] of Object.entries(SERVICES)) {
    program
      .command(name)
      .description(`only ${description}`)
      .action(guarded(async (config) => runAlone(config, name, await load())));
  }
  program
    .command('migrate')
    .description('bring the database schema up to date, set the rights of the roles of the services, and end')
    .action(guarded(migrateOnly));
  program
    .command('setup')
    .description('make what Temporal, Kafka and Cassandra need, as far as configured: namespace, topics, keyspace; and end')
    .action(guarded(setUpOnly));
  const deploy = program.command('deploy').description('versions of the workers (LEAKY_WORKER_VERSIONING)');
  deploy
    .command('status')
    .description('list the versions, which of them gets the work, and which ones have none left')
    .action(guarded((config) => withResources(config, deployStatus)));
  deploy
    .command('promote')
    .description('give the work to a version whose workers run; open workflows move to it')
    .argument('[build id]', 'unset: of this build')
    .option('--ramp <percent>', 'only this share of the workflows')
    .action((buildId: string | undefined, { ramp }: { ramp?: string }) =>
      guarded((config) => withResources(config, (resources) => deployPromote(resources, buildId, ramp)))(),
    );
  const config = program.command('config').description('look at the configuration: where values come from, what there is to set');
  config
    .command('check')
    .description('say every fault, and every variable that nothing reads; exit code 2 on any')
    .argument('[service]', 'one that lacks the secrets of the others, such as gateway; default: all that any service needs')
    .action((service?: string) => printed((commands) => commands.check(service))());
  config
    .command('print')
    .description('what is set and where, without secrets')
    .action(printed((commands) => commands.print()));
  config
    .command('list')
    .description('all variables with their defaults')
    .option('--markdown', 'as docs/configuration.md has them', false)
    .action((options: { markdown: boolean }) => printed((commands) => commands.list(options.markdown))());
  config
    .command('encrypt')
    .description('encrypt the value on standard input for a variable, with the first key of LEAKY_CONFIG_KEY_FILE')
    .argument('<variable>')
    .action((name: string) => printed((commands) => commands.encrypt(name))());
  program
    .command('health')
    .description('ask the services that listen on this host whether they are ready; exit code 1 when one is not, or there is none')
    .action(guarded(health));
  program
    .command('backup')
    .description('write a consistent snapshot of the configured database to a file, with pg_dump; all goes on meanwhile')
    .argument('<file>')
    .action((file: string) => guarded(async (config) => show((await import('./compose/backup.js')).runBackup(config, file)))());
  program
    .command('restore')
    .description('restore such a file into the configured database, with pg_restore, and migrate it; docs/runbook.md says the order')
    .argument('<file>')
    .option('--replace', 'drop what is in the database', false)
    .option('--orphaned', "Temporal's histories do not come back: end what their workflows left behind", false)
    .action((file: string, options: { replace: boolean; orphaned: boolean }) =>
      guarded(async (config) => show((await import('./compose/backup.js')).runRestore(config, file, options)))(),
    );
  program
    .command('audit')
    .description('check the invariants of the ledger on the configured database; exit code 1 on any breach')
    .option('--grace <seconds>', 'what is younger may still be on its way', '60')
    .option('--json', 'print the report as JSON', false)
    .action((options: { grace: string; json: boolean }) => guarded((config) => audit(config, options))());
  program
    .command('sql')
    .description('run one statement on the configured database, or on the embedded one, running or not; read-only unless told otherwise')
    .argument('<statement>')
    .option('--write', 'let it change something', false)
    .option('--json', 'print rows as JSON lines', false)
    .action((statement: string, options: { write: boolean; json: boolean }) =>
      guarded(async (config) => show((await import('./compose/sql.js')).runSql(config, statement, options)))(),
    );
  program
    .command('replay')
    .description('replay histories on the current workflows; exit code 1 when one does not replay, 2 when one cannot be read')
    .argument('[sources...]', 'workflow ids (fetched from Temporal), history files, folders of them; none: test/replay/histories')
    .option('--run-id <id>', 'which run of the workflow id; unset: the latest')
    .option('--bundle <file>', 'replay on this bundle of workflows instead of the built one')
    .action((sources: string[], options: { runId?: string; bundle?: string }) =>
      guarded((config) => replay(config, { sources, ...options }))(),
    );
  const payments = program.command('payments').description('payments of purchases, and what they became');
  payments
    .command('list')
    .description('the newest')
    .action(guarded(async (config) => show((await import('./compose/payments.js')).paymentCommands.list(config))));
  payments
    .command('show')
    .description('one purchase, its tokens and its payment')
    .argument('<saga id>')
    .action((sagaId: string) =>
      guarded(async (config) => show((await import('./compose/payments.js')).paymentCommands.show(config, sagaId)))(),
    );
  payments
    .command('refund')
    .description('give the money back, whatever state the payment is in: release the hold, or refund what was captured')
    .argument('<saga id>')
    .option('--terminated', 'its workflow was terminated: void its tokens and end the purchase, too', false)
    .action((sagaId: string, options: { terminated: boolean }) =>
      guarded(async (config) => show((await import('./compose/payments.js')).paymentCommands.refund(config, sagaId, options)))(),
    );
  program
    .command('usage')
    .description('usage events')
    .command('republish')
    .description('publish the usage of all consumptions that ended in a span of time anew; what is stored already stays as it is')
    .requiredOption('--from <time>', 'ISO-8601, for instance 2026-11-27T08:00:00Z')
    .option('--to <time>', 'unset: now')
    .action((options: { from: string; to?: string }) => guarded((config) => republish(config, options))());
  const deadLetters = program.command('dead-letters').description('messages that could not be stored and were put aside');
  for (const [name, description] of [
    ['list', 'show those that wait, as JSON lines'],
    ['redrive', 'send all that wait to their topic again'],
  ] as const) {
    const command = deadLetters
      .command(name)
      .description(description)
      .option('--topic <name>', 'only those of this topic, named without its prefix');
    // Redriving has no limit: it sends all that wait.
    if (name === 'list') command.option('--limit <count>', 'show at most that many of each topic', '100');
    command.action((options: { topic?: string; limit?: string }) =>
      guarded(async (config) => (await import('./compose/dead-letters.js')).deadLetters(config, name, options))(),
    );
  }
  await program.parseAsync(args, { from: 'user' });
}

async function start(config: Config): Promise<void> {
  requireFor(config, 'providers', 'payments');
  const [{ startEverything }, { everything }] = await Promise.all([import('./embedded/start.js'), import('./compose/everything.js')]);
  await startEverything(config, everything);
}

async function runAlone(config: Config, name: string, part: Compose): Promise<void> {
  const [{ createLifecycle, startParts }, { createLogger }, { watchParent }] = await Promise.all([
    import('./compose/process.js'),
    import('./telemetry/log.js'),
    import('./embedded/parent.js'),
  ]);
  const log = createLogger(config.logLevel);
  const lifecycle = createLifecycle(
    (line) => log.info(line),
    (error) => log.error({ err: error }, 'stopping in order failed'),
    config.shutdownLimitMs,
  );
  if (config.startedByNpm) watchParent(() => lifecycle.stop('npm has ended; stopping', 0));
  await startParts({ name: `leaky-${name}`, config, log, lifecycle, parts: [part] });
}

async function migrateOnly(config: Config): Promise<void> {
  const [{ migrate }, { grantRoles }, { databaseUrl }] = await Promise.all([
    import('./adapters/postgres/migrate.js'),
    import('./adapters/postgres/grants.js'),
    import('./compose/resources.js'),
  ]);
  const url = databaseUrl(config);
  const applied = await migrate(url);
  print(applied.length > 0 ? `Applied: ${applied.join(', ')}` : 'The schema is up to date');
  const roles = await grantRoles(url);
  if (roles.length > 0) print(`Rights of ${roles.join(', ')} are set`);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function setUpOnly(config: Config): Promise<void> {
  const { setUp } = await import('./compose/setup.js');
  await withResources(config, (resources) => setUp(resources, print));
}

async function deployStatus(resources: Resources): Promise<void> {
  const { deploymentStatus } = await import('./compose/deploy.js');
  (await deploymentStatus(resources)).forEach(print);
}

async function deployPromote(resources: Resources, buildId: string | undefined, ramp: string | undefined): Promise<void> {
  const [{ runPromote }, { describe }] = await Promise.all([import('./compose/deploy.js'), import('./compose/temporal-setup.js')]);
  print(describe(await runPromote(resources, { buildId, ramp: ramp === undefined ? undefined : Number(ramp) })));
}

/** For commands that do one thing and end. */
async function withResources(config: Config, action: (resources: Resources) => Promise<void>): Promise<void> {
  const [{ createResources }, { createLogger }] = await Promise.all([import('./compose/resources.js'), import('./telemetry/log.js')]);
  const resources = createResources({ config, log: createLogger(config.logLevel) });
  try {
    await action(resources);
  } finally {
    await resources.close();
  }
}

async function health(config: Config): Promise<void> {
  const { checkHealth } = await import('./compose/health.js');
  if (!(await checkHealth(config))) process.exitCode = 1;
}

async function audit(config: Config, { grace, json }: { grace: string; json: boolean }): Promise<void> {
  const graceSeconds = Number(grace);
  if (!Number.isInteger(graceSeconds) || graceSeconds < 0) throw new ConfigError(`--grace: ${grace} is not a whole number of seconds`);
  const { runAudit } = await import('./compose/audit.js');
  if (!(await runAudit(config, { graceSeconds, json }))) process.exitCode = 1;
}

async function republish(config: Config, options: { from: string; to?: string }): Promise<void> {
  const { republishUsage } = await import('./compose/republish.js');
  print(`Published: ${await republishUsage(config, options)}`);
}

async function replay(config: Config, options: ReplayOptions): Promise<void> {
  const { runReplay } = await import('./compose/replay.js');
  if (!(await runReplay(config, options))) process.exitCode = 1;
}

function guarded(action: (config: Config) => Promise<void>): () => Promise<void> {
  return reporting(async () => {
    const { config, warnings } = readConfig();
    warnings.forEach((warning) => process.stderr.write(`warning: ${warning}\n`));
    hideSecrets(config.secrets);
    await action(config);
  });
}

const show = async (text: Promise<string>): Promise<void> => void process.stdout.write(await text);

/** Commands that work on a faulty configuration too. */
function printed(command: (commands: typeof configCommands) => string | Promise<string>): () => Promise<void> {
  return reporting(async () => {
    const { configCommands } = await import('./compose/configuration.js');
    process.stdout.write(await command(configCommands));
  });
}

/** Faults of configuration are for whoever set it: the message alone, and exit code 2. */
function reporting(work: () => Promise<void>): () => Promise<void> {
  return async () => {
    try {
      await work();
    } catch (error) {
      const known = error instanceof Error && ['ConfigError', 'StartError', 'ToolError'].includes(error.name);
      process.stderr.write(`${redact(known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
      process.exit(known ? 2 : 1);
    }
  };
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) await run(process.argv.slice(2));
