import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';
import { readConfig } from '../../config.js';
import { projectRoot } from '../../root.js';
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
}

/** An .env as a person would make it. */
function makeEnv(): { file: string; variables: Record<string, string>; again: number | null } {
  const file = path.join(temporaryFolder('env'), '.env');
  const make = () => spawnSync(process.execPath, [path.join(projectRoot, 'scripts/make-env.mjs'), file]).status;
  assert.equal(make(), 0);
  const before = readFileSync(file, 'utf8');
  const again = make();
  assert.equal(readFileSync(file, 'utf8'), before);
  return { file, variables: parseEnv(before) as Record<string, string>, again };
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
    assert.match(stderr, /LEAKY_MASTER_KEY is missing a value: run node scripts\/make-env.mjs/);
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
    for (const [name, { environment = {} }] of ours()) {
      assert.deepEqual(unknown(Object.keys(environment)), [], name);
      assert.deepEqual(readConfig(environment).warnings, [], name);
    }
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
    for (const name of ['app', 'data', 'temporal']) assert.equal(model.networks[name]?.internal, true, name);
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

  it('has no password of its own: all of them differ from one .env to the next', async () => {
    const other = await resolved(makeEnv().variables);
    const passwords = services.flatMap(([name, { environment = {} }]) =>
      Object.keys(environment)
        .filter((variable) => isSecret(variable) || /PASSWORD|PWD|REDISCLI_AUTH/.test(variable))
        .filter((variable) => !/_(API_KEY)$/.test(variable))
        .map((variable) => [name, variable] as const),
    );
    assert.ok(passwords.length > 20);
    for (const [name, variable] of passwords) {
      const [one, two] = [model, other].map(({ services: all }) => all[name]?.environment?.[variable]);
      assert.ok(one && one.length >= 16 && one !== two, `${name}: ${variable}`);
    }
  });

  describe('make-env', () => {
    it('writes a file that only its owner reads, and never over another one', () => {
      assert.equal(statSync(env.file).mode & 0o777, 0o600);
      assert.equal(env.again, 1);
    });

    it('leaves no secret blank, and .env is nothing that git would take', () => {
      assert.deepEqual(
        Object.entries(env.variables).filter(([, value]) => value === ''),
        [],
      );
      assert.equal(spawnSync('git', ['check-ignore', '--no-index', '-q', '.env'], { cwd: projectRoot }).status, 0);
      assert.match(read('.dockerignore'), /^\.env$/m);
    });
  });
});
