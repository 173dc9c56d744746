import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PostgresClient } from '../adapters/postgres/client.js';
import { spawnGuarded, type GuardedChild } from './child.js';
import { chooseRunner, giveToServer, type Runner } from './os-user.js';
import { disownPostmasterPid } from './postmaster-pid.js';
import { postgresBinaries } from './postgres-binaries.js';
import { StartError } from './start-error.js';

export interface EmbeddedPostgresOptions {
  /** Holds `postgres/` and `logs/`; must exist */
  dataDir: string;
  port: number;
  password: string;
  /** false only where the data may be lost with the machine (tests) */
  fsync: boolean;
  progress?: (line: string) => void;
  /** Called as soon as the server process exists, long before it is ready */
  onSpawn?: (child: GuardedChild) => void;
}

export interface EmbeddedPostgres {
  /** Connection string of the database `leaky`, as its owner */
  url: string;
  child: GuardedChild;
}

const USER = 'leaky';
const READY_TIMEOUT_MS = 30_000;
/** PostgreSQL's fast shutdown writes a checkpoint; longer than this means a disk that hangs. */
const GRACE_SECONDS = 20;

// The environment is not handed down: PG* variables or a foreign locale must not change the server.
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** @throws StartError with the end of the server's log when it does not come up */
export async function startPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await postgresBinaries();
  const folder = path.join(options.dataDir, 'postgres');
  giveToServer(options.dataDir);
  const runner = chooseRunner([binaries.postgres, options.dataDir]);
  if (!existsSync(folder)) {
    options.progress?.('Creating the database (once)');
    await initialise(binaries.initdb, folder, options, runner);
  }
  if (disownPostmasterPid(folder))
    options.progress?.('The process id in postmaster.pid belongs to another program; PostgreSQL starts anyway');
  const command = runner.wrap(binaries.postgres, ['-D', folder, ...settings(options).flatMap((setting) => ['-c', setting])]);
  const child = await spawnGuarded({
    name: 'PostgreSQL',
    ...command,
    signal: 'INT',
    graceSeconds: GRACE_SECONDS,
    logFile: path.join(options.dataDir, 'logs/postgres.log'),
    env: environment,
    cwd: '/',
  });
  options.onSpawn?.(child);
  const url = (database: string) => `postgres://${USER}:${options.password}@127.0.0.1:${options.port}/${database}`;
  try {
    await ready(url('postgres'), child);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { url: url('leaky'), child };
}

function settings({ port, fsync }: EmbeddedPostgresOptions): string[] {
  return [
    'listen_addresses=127.0.0.1',
    `port=${port}`,
    'unix_socket_directories=',
    'max_connections=80',
    'shared_buffers=64MB',
    'jit=off',
    'timezone=UTC',
    'log_timezone=UTC',
    // No values in the log: statements that fail are told of by whoever sent them, and its lines would quote what was in them.
    'log_min_messages=log',
    'log_min_error_statement=panic',
    'log_error_verbosity=terse',
    'log_parameter_max_length=0',
    'log_parameter_max_length_on_error=0',
    // A single server: no replicas to feed, and reads by the backends themselves instead of three I/O processes.
    'wal_level=minimal',
    'max_wal_senders=0',
    'max_logical_replication_workers=0',
    'io_method=sync',
    ...(fsync ? [] : ['fsync=off', 'full_page_writes=off']),
  ];
}

/** Into a folder aside that is renamed when complete: a crash half-way must not leave what looks like a database. */
async function initialise(initdb: string, folder: string, options: EmbeddedPostgresOptions, runner: Runner): Promise<void> {
  const fresh = `${folder}.new`;
  const passwordFile = path.join(options.dataDir, 'postgres-password.tmp');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  runner.own(fresh);
  writeFileSync(passwordFile, options.password, { mode: 0o600 });
  runner.own(passwordFile);
  try {
    const { command, args, ...user } = runner.wrap(initdb, [
      ...['-D', fresh, '-U', USER, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8'],
      // The same order and case rules on every machine, whatever locales it has.
      ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ...(options.fsync ? [] : ['--no-sync']),
    ]);
    await run(command, args, user);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(fresh, folder);
}

function run(command: string, args: string[], user: { uid?: number; gid?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment, cwd: '/', ...user });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.once('error', (error) => reject(new StartError(`initdb could not be started: ${error.message}`, { cause: error })));
    child.once('close', (code) => {
      const text = Buffer.concat(output).toString('utf8').trim();
      if (code === 0) resolve();
      else reject(new StartError(`The database could not be created (initdb, exit status ${code}):\n${text}`));
    });
  });
}

/** Resolves when the server takes connections and the database exists. */
async function ready(url: string, child: GuardedChild): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  let end: string | null = null;
  void child.ended.then((how) => (end = how));
  for (;;) {
    const client = new PostgresClient({ connectionString: url, connectionTimeoutMillis: 2_000 });
    try {
      await client.connect();
      const found = await client.query("SELECT 1 FROM pg_database WHERE datname = 'leaky'");
      if (found.rowCount === 0) await client.query('CREATE DATABASE leaky');
      return;
    } catch (error) {
      if (end !== null) throw new StartError(`PostgreSQL ended while starting (${end}):\n${child.logTail()}`);
      if (wrongPassword(error)) {
        throw new StartError('The password in secrets.json does not open the database in the same data folder', { cause: error });
      }
      if (Date.now() > deadline) throw new StartError(`PostgreSQL does not answer:\n${child.logTail()}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 40));
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

const wrongPassword = (error: unknown) => (error as { code?: string }).code === '28P01';
