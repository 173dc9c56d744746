import { existsSync } from 'node:fs';
import path from 'node:path';
import { PostgresClient } from '../adapters/postgres/client.js';
import type { Config } from '../config.js';
import { lockDataDir } from './lock.js';
import { startPostgres } from './postgres.js';
import { loadSecrets } from './secrets.js';
import { StartError } from './start-error.js';

/**
 * Runs `work` on the configured database: LEAKY_POSTGRES_URL, else the embedded one, which is started for the time of the
 * work when the system is not running.
 */
export async function withDatabaseUrl<T>(config: Config, work: (url: string) => Promise<T>): Promise<T> {
  if (config.postgres.url) return work(config.postgres.url);
  if (!existsSync(path.join(config.dataDir, 'postgres'))) {
    throw new StartError(`There is no database in ${config.dataDir}: run npm start first, or set LEAKY_POSTGRES_URL or LEAKY_DATA_DIR`);
  }
  const { postgresPassword } = loadSecrets(config.dataDir);
  const running = `postgres://leaky:${postgresPassword}@127.0.0.1:${config.postgres.embeddedPort}/leaky`;
  if (await answers(running)) return work(running);
  const lock = await lockDataDir(config.dataDir);
  try {
    const { url, child } = await startPostgres({
      dataDir: config.dataDir,
      port: config.postgres.embeddedPort,
      password: postgresPassword,
      fsync: true,
      onSpawn: (spawned) => lock.addChild(spawned.pid),
    });
    return await work(url).finally(() => child.stop());
  } finally {
    lock.release();
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new PostgresClient({ connectionString: url, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return false;
    throw error;
  } finally {
    await client.end();
  }
}
