// Brings what the native servers of the full stack need, once per user: node scripts/servers.mjs. Nothing to do where their addresses
// are given (LEAKY_TEST_…) or a Docker engine answers: test/support/provide.ts chooses by the same rules.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const SERVERS = {
  redis: 'LEAKY_TEST_REDIS_URL',
  kafka: 'LEAKY_TEST_KAFKA_BROKERS',
  cassandra: 'LEAKY_TEST_CASSANDRA',
  temporal: 'LEAKY_TEST_TEMPORAL_CLUSTER',
};

export function installServers() {
  const wanted = Object.entries(SERVERS).filter(([, variable]) => !process.env[variable]);
  if (wanted.length === 0 || hasDocker()) return;
  for (const [name] of wanted) {
    const script = path.join(import.meta.dirname, `servers/${name}.sh`);
    const { status, error } = spawnSync('bash', [script, 'install'], { stdio: ['ignore', 2, 2] });
    if (status === 0) continue;
    console.error(error?.message ?? `The server ${name} could not be installed; give the address of one with ${SERVERS[name]}.`);
    process.exit(1);
  }
}

const hasDocker = () => spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 5_000 }).status === 0;

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) installServers();
