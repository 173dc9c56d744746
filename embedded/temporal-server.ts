import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { SEARCH_ATTRIBUTES } from '../contracts/temporal.js';
import { spawnGuarded, type GuardedChild } from './child.js';

export interface EmbeddedTemporalOptions {
  cli: string;
  dataDir: string;
  port: number;
  /** null: no Web UI */
  uiPort: number | null;
  namespace: string;
}

/** It closes its database within a second; more means a disk that hangs. */
const GRACE_SECONDS = 15;

/**
 * The dev server keeps everything in one database file, so histories survive a restart; kill -9 loses none of them.
 * It is ready when a connection to it succeeds, which is the caller's to wait for.
 */
export async function startTemporal(options: EmbeddedTemporalOptions): Promise<GuardedChild> {
  const folder = path.join(options.dataDir, 'temporal');
  mkdirSync(folder, { recursive: true });
  return spawnGuarded({
    name: 'The Temporal server',
    command: options.cli,
    args: [
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(options.port)],
      ...(options.uiPort === null ? ['--headless'] : ['--ui-port', String(options.uiPort), '--ui-disable-news-fetch']),
      ...['--db-filename', path.join(folder, 'temporal.db'), '--log-level', 'error', '--namespace', options.namespace],
      ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
      ...Object.entries(DYNAMIC_CONFIG).flatMap(([name, value]) => ['--dynamic-config-value', `${name}=${value}`]),
      // Neither the CLI's configuration file nor TEMPORAL_* variables of another project may change the server.
      ...['--disable-config-file', '--disable-config-env'],
    ],
    signal: 'TERM',
    graceSeconds: GRACE_SECONDS,
    logFile: path.join(options.dataDir, 'logs/temporal.log'),
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: folder },
    cwd: folder,
  });
}

/** One partition per task queue: one process serves them all, and each partition costs polls, memory and a hop. */
const DYNAMIC_CONFIG: Record<string, string> = {
  'matching.numTaskqueueReadPartitions': '1',
  'matching.numTaskqueueWritePartitions': '1',
};
