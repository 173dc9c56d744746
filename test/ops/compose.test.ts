import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';
import { PostgresClient } from '../../adapters/postgres/client.js';
import { SERVICE_ROLES, grantRoles } from '../../adapters/postgres/grants.js';
import { migrate } from '../../adapters/postgres/migrate.js';
import { readConfig, requireFor } from '../../config.js';
import { projectRoot } from '../../root.js';
import { administer, startTestPostgres } from '../support/postgres.js';
import { temporaryFolder } from '../support/servers.js';
import { isPinned, isSecret, portOf, read, unknown, version } from './settings.js';
import { INSTALL_TIMEOUT_MS, installTools, tool } from './tools.js';

interface Service {
  image: string;
  build?: unknown;
  command?: string[];
  restart?: string;
  profiles?: string[];
  environment?: Record<string, string>;
  env_file?: { path: string; required: boolean }[];
  secrets?: { source: string; target?: string }[];
  ports?: { host_ip?: string; published: string; target: number }[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { disable?: boolean };
  networks?: Record<string, unknown>;
  volumes?: { type: string; source: string; read_only?: boolean }[];
  deploy?: { resources?: { limits?: { memory?: string } } };
  read_only?: boolean;
  cap_drop?: string[];
}
interface Model {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
  secrets: Record<string, { file: string }>;
}

interface MadeEnv {
  file: string;
  variables: Record<string, string>;
  /** Where the secrets are, and each of them by its name */
  folder: string;
  secrets: Record<string, string>;
  again: number | null;
}

/** An .env with its secrets as a person would make them. */
function makeEnv(): MadeEnv {
  const parent = temporaryFolder('env');
  const [file, folder] = [path.join(parent, '.env'), path.join(parent, 'secrets')];
  const make = () => spawnSync(process.execPath, [path.join(projectRoot, 'scripts/make-env.mjs'), parent]).status;
  const made = () => Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));
  assert.equal(make(), 0);
  const [before, secrets] = [readFileSync(file, 'utf8'), made()];
  const again = make();
  assert.equal(readFileSync(file, 'utf8'), before);
  assert.deepEqual(made(), secrets);
  return { file, variables: parseEnv(before) as Record<string, string>, folder, secrets, again };
}

/** What the container of a service finds where LEAKY_SECRETS_DIR looks. */
function mounted({ secrets = [] }: Service, { folder }: MadeEnv): string {
  const directory = temporaryFolder('mounted');
  for (const { source, target } of secrets) copyFileSync(path.join(folder, source), path.join(directory, target ?? source));
  return directory;
}

/** `${NAME:-default}` and `${NAME:?message}` as in Compose; its parser alone has nothing to read variables from. */
const interpolate = (text: string, variables: Record<string, string>) =>
  text.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, operator: string, rest: string) => {
    const value = variables[name];
    assert.ok(value || operator === '-', `${name} ${rest}`);
    return value || rest;
  });

async function resolved(variables: Record<string, string>): Promise<Model> {
  const file = path.join(temporaryFolder('compose'), 'docker-compose.yml');
  writeFileSync(file, interpolate(read('docker-compose.yml'), variables));
  const { code, stdout, stderr } = await tool('compose-spec', ['-format', 'json', file]);
  assert.equal(code, 0, stderr);
  // A variable that is set to nothing; Compose would not look for it elsewhere, as it replaces variables after parsing.
  return JSON.parse(stdout, (_, value: unknown) => (value === null ? '' : value)) as Model;
}

describe('docker-compose.yml', function () {
  this.timeout(30_000);
  let model: Model;
  let services: [string, Service][];
  const env = makeEnv();
  const ours = () => services.filter(([, { build }]) => build !== undefined);
  const isJob = ({ restart, profiles }: Service) => restart?.startsWith('on-failure') === true || profiles !== undefined;

  before(async function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    installTools();
    model = await resolved(env.variables);
    services = Object.entries(model.services);
  });

  it('is what Compose understands, with the .env of make-env', () => {
    assert.deepEqual(
      ours()
        .map(([name]) => name)
        .sort(),
      ['analytics', 'auth', 'codec', 'gateway', 'migrate', 'setup', 'stubs', 'tokens', 'worker'],
    );
  });

  it('says how to get the secrets when they are missing', async () => {
    const { code, stderr } = await tool('compose-spec', ['docker-compose.yml']);
    assert.notEqual(code, 0);
    assert.match(stderr, /LEAKY_PAYMENTS is missing a value/);
    for (const [name, { file }] of Object.entries(model.secrets)) assert.equal(path.basename(file), name);
    assert.deepEqual(Object.keys(env.secrets).sort(), Object.keys(model.secrets).sort(), 'make-env writes them all, and no other');
  });

  it('pins every image, and ours to the version of the package', () => {
    assert.deepEqual(
      services.filter(([, { image }]) => !isPinned(image)).map(([name]) => name),
      [],
    );
    for (const [, { image }] of ours()) assert.equal(image, `leaky-tokens:${version}`);
  });

  it('limits the memory of every container and knows when each server is well', () => {
    for (const [name, service] of services) {
      assert.ok(service.deploy?.resources?.limits?.memory, `${name} has no memory limit`);
      if (!isJob(service)) assert.ok(service.healthcheck && !service.healthcheck.disable, `${name} has no health check`);
    }
  });

  it('waits for what each service needs: jobs to be done, servers to be well', () => {
    for (const [name, { depends_on }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on ?? {})) {
        const job = isJob(model.services[other] as Service);
        assert.equal(condition, job ? 'service_completed_successfully' : 'service_healthy', `${name} → ${other}`);
      }
    }
  });

  it('gives our services settings that the configuration knows and takes', () => {
    for (const [name, service] of ours()) {
      const { environment = {}, secrets = [] } = service;
      assert.deepEqual(unknown(Object.keys(environment)), [], name);
      const folder = mounted(service, env);
      const given = secrets.length > 0 ? { ...environment, LEAKY_SECRETS_DIR: folder } : environment;
      const { config, warnings } = readConfig(given);
      assert.deepEqual(warnings, [], name);
      if (['tokens', 'worker'].includes(name)) requireFor(config, 'providers', 'payments');
      for (const { target } of secrets) assert.ok(target && isSecret(target), `${name}: ${target}`);
    }
  });

  it('lets every setting be made, for all services, in one file', () => {
    for (const [name, { env_file }] of ours())
      assert.deepEqual(
        env_file?.map((each) => path.basename(each.path)),
        ['settings.env'],
        name,
      );
  });

  it('has secrets in files only, and for each service a role of its own in the database', () => {
    for (const [name, { environment = {} }] of services) {
      const told = Object.entries(environment).filter(([variable]) => isSecret(variable) || /PASSWORD|PWD|_TOKEN$|AUTH$/.test(variable));
      for (const [variable, value] of told)
        assert.match(value, /^(?:\/run\/secrets\/[\w-]+|postgres:\/\/\w+@postgres:5432\/leaky)$/, `${name}: ${variable}`);
    }
    const roles = ours().flatMap(([name, { environment = {} }]) => {
      const url = environment['LEAKY_POSTGRES_URL'];
      return url ? [[name, new URL(url).username]] : [];
    });
    assert.deepEqual(Object.fromEntries(roles), {
      gateway: 'leaky_gateway',
      auth: 'leaky_auth',
      tokens: 'leaky_tokens',
      analytics: 'leaky_analytics',
      worker: 'leaky_worker',
      migrate: 'leaky_owner',
    });
    assert.deepEqual(
      Object.values(Object.fromEntries(roles))
        .filter((role) => role !== 'leaky_owner')
        .sort(),
      [...SERVICE_ROLES].sort(),
    );
  });

  it('keeps the gateway, which callers reach, off the networks of the brokers, of Cassandra and of Temporal', () => {
    const networksOf = (name: string) => Object.keys(model.services[name]?.networks ?? {});
    for (const server of ['kafka', 'cassandra', 'temporal', 'temporal-postgres'])
      for (const open of ['gateway', 'auth', 'codec', 'stubs'])
        assert.deepEqual(
          networksOf(server).filter((network) => networksOf(open).includes(network)),
          [],
          `${open} and ${server}`,
        );
  });

  it('makes the roles of the database by statements that PostgreSQL takes, and their owner can migrate', async () => {
    const stand = temporaryFolder('psql');
    writeFileSync(path.join(stand, 'psql'), '#!/bin/sh\ncat\n', { mode: 0o755 });
    const script = path.join(projectRoot, 'ops/postgres/roles.sh');
    const { status, stdout } = spawnSync('bash', [script], {
      encoding: 'utf8',
      env: { PATH: `${stand}:${process.env.PATH}`, SECRETS: env.folder, POSTGRES_USER: 'postgres' },
    });
    assert.equal(status, 0);
    const server = await startTestPostgres();
    const database = `leaky_${Date.now()}`;
    const statements = stdout.split('\n').filter(Boolean);
    await administer(server, ...statements.map((statement) => statement.replace(/DATABASE leaky\b/, `DATABASE ${database}`)));
    const url = new URL(server);
    url.pathname = database;
    [url.username, url.password] = ['leaky_owner', env.secrets['db-owner-password'] ?? ''];
    assert.ok((await migrate(url.href)).length > 0);
    assert.deepEqual(await grantRoles(url.href), [...SERVICE_ROLES].sort());
    [url.username, url.password] = ['leaky_tokens', env.secrets['db-tokens-password'] ?? ''];
    const service = new PostgresClient({ connectionString: url.href });
    await service.connect();
    await service.query('SELECT * FROM pools').finally(() => service.end());
    // Roles are the whole server's, which other tests use.
    const inside = new URL(server);
    inside.pathname = database;
    await administer(inside.href, ...['leaky_owner', ...SERVICE_ROLES].map((role) => `DROP OWNED BY ${role} CASCADE`));
    await administer(server, `DROP DATABASE ${database}`, ...['leaky_owner', ...SERVICE_ROLES].map((role) => `DROP ROLE ${role}`));
  });

  it('agrees with the configuration on names and ports', () => {
    for (const [name, { environment = {}, ports = [] }] of ours()) {
      for (const target of ['auth', 'tokens', 'analytics']) {
        const url = environment[`LEAKY_${target.toUpperCase()}_URL`];
        if (url) assert.equal(url, `lb://${target}:${portOf(target)}`, name);
      }
      for (const { target } of ports) assert.equal(target, portOf(name));
      const addresses = Object.entries(environment).filter(([variable]) => /_(URL|BROKERS|ADDRESS|POINTS)$/.test(variable));
      for (const [variable, value] of addresses) {
        const host = /(?:\/\/(?:[^@/]*@)?)?([\w.-]+):\d+(?:\/\w*)?$/.exec(value)?.[1] ?? value;
        if (variable === 'LEAKY_PUBLIC_URL') continue;
        assert.ok(model.services[host], `${name}: ${variable} names ${host}, which is no service`);
        const shared = Object.keys(model.services[host].networks ?? {}).some(
          (network) => network in (model.services[name]?.networks ?? {}),
        );
        assert.ok(shared, `${name} and ${host} are on no common network`);
      }
    }
  });

  it('runs two token services', () => {
    assert.equal(
      (parse(read('docker-compose.yml'), { merge: true }) as { services: { tokens: { deploy: { replicas: number } } } }).services.tokens
        .deploy.replicas,
      2,
    );
  });

  it('shows nothing to other machines, unless the gateway is told to', () => {
    const published = services.flatMap(([, { ports = [] }]) => ports);
    assert.deepEqual(
      published.filter(({ host_ip }) => host_ip !== '127.0.0.1'),
      [],
    );
    for (const name of ['app', 'data', 'events', 'engine', 'temporal']) assert.equal(model.networks[name]?.internal, true, name);
  });

  it('runs our containers without rights and with nothing to write on', () => {
    for (const [name, { read_only, cap_drop }] of ours()) {
      assert.equal(read_only, true, name);
      assert.deepEqual(cap_drop, ['ALL'], name);
    }
  });

  it('mounts nothing of the project that a container could change', () => {
    for (const [name, { volumes = [] }] of services) {
      for (const { type, source, read_only } of volumes) {
        if (type !== 'bind') continue;
        assert.equal(read_only, true, `${name}: ${source}`);
        assert.ok(statSync(path.resolve(projectRoot, source)), source);
      }
    }
  });

  it('has no password of its own: all of them differ from one make-env to the next', () => {
    const other = makeEnv().secrets;
    const passwords = Object.keys(env.secrets).filter((name) => !name.endsWith('api-key'));
    assert.ok(passwords.length > 15);
    for (const name of passwords) {
      const [one, two] = [env.secrets[name], other[name]];
      assert.ok(one && one.length >= 16 && one !== two, name);
    }
  });

  describe('make-env', () => {
    it('writes what only its owner reads, and never over another one', () => {
      assert.equal(statSync(env.file).mode & 0o777, 0o600);
      assert.equal(statSync(env.folder).mode & 0o777, 0o700);
      assert.equal(env.again, 1);
    });

    it('leaves no secret blank, and .env is nothing that git would take', () => {
      assert.deepEqual(
        Object.entries(env.variables).filter(([, value]) => value === ''),
        [],
      );
      assert.deepEqual(
        Object.keys(env.secrets).filter((name) => env.secrets[name] === ''),
        ['stripe-api-key'],
      );
      for (const name of ['.env', 'settings.env', 'secrets/db-owner-password'])
        assert.equal(spawnSync('git', ['check-ignore', '--no-index', '-q', name], { cwd: projectRoot }).status, 0, name);
      for (const name of [/^\.env$/m, /^settings\.env$/m, /^secrets$/m]) assert.match(read('.dockerignore'), name);
    });
  });
});
