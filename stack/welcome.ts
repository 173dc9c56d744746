import path from 'node:path';
import { curlLines } from '../embedded/welcome.js';
import type { Stack } from './start.js';

/** What one needs to know after a start of the stack. */
export function welcome(stack: Stack, seconds: number): string {
  const { dataDir, ports, services } = stack;
  const gateway = `http://127.0.0.1:${ports.gateway}`;
  const rows: [string, string][] = [
    ['Gateway', gateway],
    ['API docs', `${gateway}/docs`],
    ['Services', services.map(({ name, port: at }) => `${name} :${at}`).join('  ')],
    ['Servers', `PostgreSQL :${ports.postgres}  Redis :${ports.redis}  Kafka :${ports.kafka}  Cassandra :${ports.cassandra}`],
    ['Temporal', `127.0.0.1:${ports.temporal}, without a Web UI: the server has none. temporal --address 127.0.0.1:${ports.temporal} …`],
    ['Data, logs', `${dataDir}, ${path.join(dataDir, 'logs')}`],
    ['Audit', auditLine(stack)],
    ['Admin', administrator(stack)],
  ];
  return [
    '',
    `The full stack is ready (${seconds.toFixed(1)} s). Ctrl-C stops everything.`,
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(12)}${value}`),
    '',
    'Try it (paste into another terminal):',
    '',
    ...curlLines(gateway),
    '',
  ].join('\n');
}

/**
 * To be pasted. It reads the password where it is kept, and names Cassandra, where the usage is: an audit of PostgreSQL alone would
 * miss every event.
 */
export function auditLine({ dataDir, ports }: Pick<Stack, 'dataDir' | 'ports'>): string {
  const secrets = path.join(dataDir, 'secrets.json');
  const password = `$(node -p 'JSON.parse(fs.readFileSync("${secrets}")).postgresPassword')`;
  const url = `postgres://leaky:${password}@127.0.0.1:${ports.postgres}/leaky`;
  return `LEAKY_POSTGRES_URL="${url}" LEAKY_CASSANDRA_CONTACT_POINTS=127.0.0.1:${ports.cassandra} npm run audit`;
}

/** What the auth service was given: a setting of whoever started the stack goes before the generated one, and is not shown. */
export function administrator({ environment, secrets }: Pick<Stack, 'environment' | 'secrets'>): string {
  const username = environment.LEAKY_ADMIN_USERNAME ?? secrets.adminUsername;
  const given = environment.LEAKY_ADMIN_PASSWORD !== undefined || environment.LEAKY_ADMIN_PASSWORD_FILE !== undefined;
  if (given) return `${username}, with the password of LEAKY_ADMIN_PASSWORD at the first start`;
  return secrets.adminPasswordShown ? username : `${username} / ${secrets.adminPassword}  (shown only now)`;
}
