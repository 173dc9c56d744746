import { chmodSync, existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createReconciliationActivities } from '../activities/reconciliation.js';
import { createAuditor } from '../adapters/postgres/audit.js';
import { createConsumptionLedger } from '../adapters/postgres/ledger.js';
import { migrate } from '../adapters/postgres/migrate.js';
import { createPool, type Database } from '../adapters/postgres/pool.js';
import { createStaleHolds } from '../adapters/postgres/stale-holds.js';
import { createUnreportedUsage } from '../adapters/postgres/unreported-usage.js';
import { findPostgresTools } from '../adapters/postgres/tools.js';
import { ConfigError, type Config } from '../config.js';
import { withDatabaseUrl } from '../embedded/borrow-postgres.js';
import { createLogger } from '../telemetry/log.js';
import { createResources } from './resources.js';

/** One consistent snapshot of the whole database, taken while it works. The file is complete, or not there. */
export async function runBackup(config: Config, file: string): Promise<string> {
  if (existsSync(file)) throw new ConfigError(`${file}: exists already`);
  return withDatabaseUrl(config, async (url) => {
    const tools = await toolsFor(config, url);
    const partial = `${file}.partial`;
    try {
      // It holds hashes of passwords and keys, and what customers asked and were told.
      writeFileSync(partial, '', { mode: 0o600 });
      chmodSync(partial, 0o600);
      await tools.run('pg_dump', ['--format=custom', '--no-owner', '--no-privileges', '--lock-wait-timeout=10s', `--file=${partial}`], url);
      renameSync(partial, file);
    } finally {
      rmSync(partial, { force: true });
    }
    return `${file}: ${(statSync(file).size / 1e6).toFixed(1)} MB\n`;
  });
}

export interface RestoreOptions {
  /** What is in the database is dropped */
  replace: boolean;
  /** The histories of the workflows are lost: end what they left behind */
  orphaned: boolean;
}

/** All of the file or nothing, then the migrations that came after it. */
export async function runRestore(config: Config, file: string, { replace, orphaned }: RestoreOptions): Promise<string> {
  if (!existsSync(file)) throw new ConfigError(`${file}: no such file`);
  return withDatabaseUrl(config, async (url) => {
    const tools = await toolsFor(config, url);
    const pool = createPool(url, 2);
    try {
      await inEmptyDatabase(pool, replace, () =>
        tools.run('pg_restore', ['--no-owner', '--no-privileges', '--exit-on-error', '--single-transaction', file], url),
      );
      const applied = await migrate(url);
      const ends = orphaned ? await endOrphans({ ...config, postgres: { ...config.postgres, url } }, pool) : '';
      return `Restored ${file}${applied.length > 0 ? `; migrations applied: ${applied.join(', ')}` : ''}\n${ends}`;
    } finally {
      await pool.end();
    }
  });
}

const toolsFor = ({ postgres, temporal }: Config, url: string) => findPostgresTools(postgres.toolsDir, temporal.searchPath, url);

const ASIDE = 'leaky_before_restore';

/** What is there is set aside until the file is restored: a file that breaks off half-way must not cost the database. */
async function inEmptyDatabase(pool: Database, replace: boolean, restore: () => Promise<void>): Promise<void> {
  const { rows } = await pool.query<{ schemaname: string }>('SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname IN ($1, $2)', [
    'public',
    ASIDE,
  ]);
  if (rows.some(({ schemaname }) => schemaname === ASIDE)) {
    throw new ConfigError(
      `A restore was cut off: what was there before it is in the schema ${ASIDE}. Drop that schema, or put it back as public`,
    );
  }
  if (rows.length === 0) return restore();
  if (!replace) throw new ConfigError('The database is not empty. Restore into a new one, or say --replace, which drops what is there');
  await pool.query(`ALTER SCHEMA public RENAME TO ${ASIDE}; CREATE SCHEMA public`);
  try {
    await restore();
  } catch (error) {
    await pool.query(`DROP SCHEMA public CASCADE; ALTER SCHEMA ${ASIDE} RENAME TO public`);
    throw error;
  }
  await pool.query(`DROP SCHEMA ${ASIDE} CASCADE`);
}

/** Each takes a chunk of holds and looks for a while; far more than can be needed. */
const ROUNDS = 10_000;

/**
 * What no workflow will come back for: holds are released, outcomes without a usage event are recorded, from the first consumption
 * on: the usage store may be another one, of another time.
 */
async function endOrphans(config: Config, pool: Database): Promise<string> {
  const log = createLogger('silent');
  const resources = createResources({ config, log });
  try {
    const usage = resources.usageStore();
    const unreported = createUnreportedUsage(pool, usage.books);
    const { releaseOrphans } = createReconciliationActivities({
      stale: createStaleHolds(pool),
      unreported,
      workflows: { isOpen: () => Promise.resolve(false) },
      ledger: createConsumptionLedger(pool, { enforceQuota: config.flags.quotaEnforcement }),
      usage: resources.events().usage,
      auditor: createAuditor(pool, usage.books),
      log,
    });
    let [released, reported] = [0, 0];
    await unreported.rewind();
    for (let round = 0; round < ROUNDS; round++) {
      const ended = await releaseOrphans(0);
      released += ended.released;
      reported += ended.reported;
      if (ended.complete && ended.released + ended.reported === 0) break;
    }
    return `Holds released: ${released}; outcomes recorded as usage: ${reported}\n`;
  } finally {
    await resources.close();
  }
}
