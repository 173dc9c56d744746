import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import pg from 'pg';
import { freePortBlock } from '../../embedded/ports.js';
import { projectRoot } from '../../root.js';
import { createAuthority, type Authority } from './certificates.js';
import { eventually } from './eventually.js';
import { native, serverScript } from './provide.js';

/** As strict as a server of one's own can be: mutual TLS, and a signed token that says who may do what in which namespace. */
export interface SecureTemporal {
  address: string;
  authority: Authority;
  /** Certificate and key of a client that the server trusts */
  client: { certFile: string; keyFile: string };
  /** Variables that reach it with these permissions, such as `leaky:write` or `temporal-system:admin` */
  environment(...permissions: string[]): Promise<Record<string, string>>;
  apiKey(...permissions: string[]): Promise<string>;
  /** Arguments that let the Temporal CLI in */
  cliArguments(namespace: string): Promise<string[]>;
  /** Which tables of its databases hold the text, as text or within binary values */
  tablesWith(text: string): Promise<string[]>;
  /** kill -9 of the server and of its PostgreSQL, then both again on the same data */
  crash(): Promise<void>;
  /** What the server has logged */
  log(): string;
}

export const SERVER_NAME = 'temporal.internal';
const KEY_ID = 'test';
const PORTS = 12;

let cluster: Promise<SecureTemporal> | undefined;

/** One for the mocha run, on a PostgreSQL of its own, so that both can be killed. Runs natively only: a container can't read our files. */
export function startSecureTemporal(): Promise<SecureTemporal> {
  return (cluster ??= start());
}

async function start(): Promise<SecureTemporal> {
  const authority = createAuthority('temporal');
  const server = authority.issue('server', { hosts: ['127.0.0.1', SERVER_NAME] });
  const client = authority.issue('client', { client: true });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keysFile = path.join(authority.folder, 'jwks.json');
  writeFileSync(keysFile, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' }] }));
  const settings = {
    TEMPORAL_GLOBAL_EXTRA: globalSettings({ ...server, caFile: authority.caFile, keysFile }),
    TEMPORAL_TLS_CA: authority.caFile,
    TEMPORAL_TLS_CERT: client.certFile,
    TEMPORAL_TLS_KEY: client.keyFile,
    TEMPORAL_INTERNAL_FRONTEND: 'true',
    TEMPORAL_DYNAMIC_CONFIG: dynamicConfig(authority.folder),
    TEMPORAL_CONNECTIONS: '10',
  };
  const port = await freePortBlock(PORTS);
  const folder = await native(
    {
      name: 'Temporal with TLS',
      variable: '',
      script: 'temporal',
      ports: PORTS,
      containers: () => [],
      environment: () => Promise.resolve(settings),
    },
    port,
  );
  const apiKey = (...permissions: string[]) => sign(privateKey, permissions);
  return {
    address: `127.0.0.1:${port}`,
    authority,
    client,
    apiKey,
    environment: async (...permissions) => ({
      LEAKY_TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
      LEAKY_TEMPORAL_TLS_CA_FILE: authority.caFile,
      LEAKY_TEMPORAL_TLS_CERT_FILE: client.certFile,
      LEAKY_TEMPORAL_TLS_KEY_FILE: client.keyFile,
      LEAKY_TEMPORAL_TLS_SERVER_NAME: SERVER_NAME,
      LEAKY_TEMPORAL_API_KEY: await apiKey(...permissions),
    }),
    cliArguments: async (namespace) => [
      ...['--address', `127.0.0.1:${port}`, '--namespace', namespace, '--api-key', await apiKey(`${namespace}:write`)],
      ...['--tls-ca-path', authority.caFile, '--tls-cert-path', client.certFile, '--tls-key-path', client.keyFile],
      ...['--disable-config-file', '--disable-config-env'],
    ],
    tablesWith: (text) => tablesWith(port + 9, text),
    log: () => readFileSync(path.join(folder, 'temporal.log'), 'utf8'),
    async crash() {
      const killed = ['temporal', 'postgres'].map((name) => Number(readFileSync(path.join(folder, `${name}.pid`), 'utf8')));
      for (const pid of killed) process.kill(pid, 'SIGKILL');
      await eventually('both have gone', () => killed.every(hasGone));
      const env = { ...process.env, LEAKY_SERVER_OWNER: String(process.pid), ...settings };
      const code = await serverScript('temporal', ['start', folder, String(port)], env);
      if (code !== 0) throw new Error('Temporal did not come back; its messages are above');
    },
  };
}

function hasGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

const globalSettings = (files: { certFile: string; keyFile: string; caFile: string; keysFile: string }) => `  tls:
    frontend:
      server: {certFile: "${files.certFile}", keyFile: "${files.keyFile}", requireClientAuth: true, clientCaFiles: ["${files.caFile}"]}
      client: {serverName: "${SERVER_NAME}", rootCaFiles: ["${files.caFile}"]}
  authorization:
    jwtKeyProvider: {keySourceURIs: ["file://${files.keysFile}"], refreshInterval: 1h}
    permissionsClaimName: permissions
    authorizer: default
    claimMapper: default`;

/** Ours for production, and what a test cannot wait for. */
function dynamicConfig(folder: string): string {
  const file = path.join(folder, 'dynamic.yaml');
  const ours = readFileSync(path.join(projectRoot, 'temporal-config/dynamic-config.yaml'), 'utf8');
  const sooner = [
    'system.namespaceCacheRefreshInterval: [{value: 1s}]',
    'system.forceSearchAttributesCacheRefreshOnRead: [{value: true}]',
    'matching.wv.VersionDrainageStatusVisibilityGracePeriod: [{value: 1s}]',
    'matching.wv.VersionDrainageStatusRefreshInterval: [{value: 1s}]',
  ];
  writeFileSync(file, `${ours}\n${sooner.join('\n')}\n`);
  return file;
}

const sign = (key: KeyObject, permissions: string[]): Promise<string> =>
  new SignJWT({ permissions })
    .setProtectedHeader({ alg: 'RS256', kid: KEY_ID })
    .setSubject('leaky-tokens')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' })));

/** Binary values are shown as hex digits, so both forms of the text are looked for. */
async function tablesWith(port: number, text: string): Promise<string[]> {
  const found: string[] = [];
  const hex = Buffer.from(text).toString('hex');
  for (const database of ['temporal', 'temporal_visibility']) {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'temporal', password: 'temporal', database });
    await client.connect();
    try {
      const { rows } = await client.query<{ table: string }>(
        `SELECT quote_ident(table_name) AS table FROM information_schema.tables WHERE table_schema = 'public'`,
      );
      for (const { table } of rows) {
        const hit = await client.query(`SELECT 1 FROM ${table} AS r WHERE r::text LIKE $1 OR r::text LIKE $2 LIMIT 1`, [
          `%${text}%`,
          `%${hex}%`,
        ]);
        if (hit.rowCount) found.push(`${database}.${table}`);
      }
    } finally {
      await client.end();
    }
  }
  return found;
}
