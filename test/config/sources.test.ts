import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConfigError, explainConfig, loadConfig, readConfig } from '../../config.js';
import { encrypt, parseKeys } from '../../config/encryption.js';
import { distRoot } from '../../root.js';
import { temporaryFolder } from '../support/servers.js';

const folder = temporaryFolder('config');
let written = 0;

function file(text: string): string {
  const name = path.join(folder, `file-${++written}`);
  writeFileSync(name, text);
  return name;
}

function faultsOf(environment: NodeJS.ProcessEnv): string {
  try {
    loadConfig(environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return '';
}

describe('values of the configuration', () => {
  it('come from the environment before the file, and from the file before the default', () => {
    const environment = { LEAKY_CONFIG_FILE: file('LEAKY_AUTH_PORT: 1\nLEAKY_TOKENS_PORT: 2\n'), LEAKY_TOKENS_PORT: '3' };
    const { ports } = loadConfig(environment);
    assert.deepEqual([ports.auth, ports.tokens, ports.gateway], [1, 3, 8080]);
    const origins = new Map(explainConfig(environment).map(({ name, origin }) => [name, origin]));
    assert.equal(origins.get('LEAKY_AUTH_PORT'), environment.LEAKY_CONFIG_FILE);
    assert.equal(origins.get('LEAKY_TOKENS_PORT'), 'environment');
    assert.equal(origins.get('LEAKY_GATEWAY_PORT'), 'default');
  });

  it('are written in the file as YAML has them: lists, maps, digits that are a text', () => {
    const digits = '1'.repeat(64);
    const text = `
LEAKY_KAFKA_BROKERS: [a:1, b:2]
LEAKY_RATE_LIMIT_OVERRIDES: { /api: { requests: 600, windowSeconds: 60 } }
LEAKY_MASTER_KEY: ${digits}
LEAKY_FLAG_RATE_LIMITING: false
LEAKY_POSTGRES_URL:
`;
    const config = loadConfig({ LEAKY_CONFIG_FILE: file(text) });
    assert.deepEqual(config.kafka.brokers, ['a:1', 'b:2']);
    assert.deepEqual(config.gateway.rateLimitOverrides, { '/api': { requests: 600, windowSeconds: 60 } });
    assert.equal(config.auth.masterKey, digits);
    assert.equal(config.flags.rateLimiting, false);
    assert.equal(config.postgres.url, undefined);
  });

  it('come from files of their own, in the environment and in the file; the last new line is not theirs', () => {
    const password = file('  p4ss word\n');
    assert.equal(loadConfig({ LEAKY_ADMIN_PASSWORD_FILE: password }).auth.adminPassword, '  p4ss word');
    assert.equal(loadConfig({ LEAKY_CONFIG_FILE: file(`LEAKY_ADMIN_PASSWORD_FILE: ${password}`) }).auth.adminPassword, '  p4ss word');
    const fromEnvironment = { LEAKY_CONFIG_FILE: file(`LEAKY_ADMIN_PASSWORD_FILE: ${password}`), LEAKY_ADMIN_PASSWORD: 'the other one' };
    assert.equal(loadConfig(fromEnvironment).auth.adminPassword, 'the other one');
  });

  it('come from a folder of secrets by the names of its files, after the environment and before the file', () => {
    const secrets = path.join(folder, 'secrets');
    mkdirSync(path.join(secrets, '..2026_data'), { recursive: true });
    writeFileSync(path.join(secrets, 'LEAKY_ADMIN_PASSWORD'), 'mounted\n-pass\n');
    writeFileSync(path.join(secrets, 'LEAKY_MASTER_KEY'), 'ab'.repeat(32));
    const LEAKY_CONFIG_FILE = file(`LEAKY_ADMIN_PASSWORD: of the file\nLEAKY_JWT_ISSUER: me`);
    const config = loadConfig({ LEAKY_SECRETS_DIR: secrets, LEAKY_CONFIG_FILE });
    assert.deepEqual([config.auth.adminPassword, config.auth.issuer], ['mounted\n-pass', 'me']);
    assert.ok(config.secrets.includes('ab'.repeat(32)));
    assert.equal(loadConfig({ LEAKY_SECRETS_DIR: secrets, LEAKY_ADMIN_PASSWORD: 'environment' }).auth.adminPassword, 'environment');
    writeFileSync(path.join(secrets, 'LEAKY_ADMIN_PASWORD'), 'x');
    assert.match(faultsOf({ LEAKY_SECRETS_DIR: secrets }), /LEAKY_ADMIN_PASWORD: no such variable; did you mean LEAKY_ADMIN_PASSWORD\? \(/);
    assert.match(faultsOf({ LEAKY_SECRETS_DIR: '/nowhere' }), /LEAKY_SECRETS_DIR: ENOENT/);
  });

  it('may be encrypted, each for its own variable', () => {
    const [old, fresh] = [randomBytes(32), randomBytes(32)].map((key, index) => `k${index}:${key.toString('hex')}`);
    const [key] = parseKeys(old ?? '');
    assert.ok(key);
    const sealed = encrypt('LEAKY_ADMIN_PASSWORD', 'correct horse', key);
    const keys = file(`${fresh}\n${old}\n`);
    const config = loadConfig({ LEAKY_CONFIG_KEY_FILE: keys, LEAKY_CONFIG_FILE: file(`LEAKY_ADMIN_PASSWORD: '${sealed}'`) });
    assert.equal(config.auth.adminPassword, 'correct horse');
    assert.ok(config.secrets.includes('correct horse'), 'what was encrypted is a secret in clear, too');
    const moved = faultsOf({ LEAKY_CONFIG_KEY_FILE: keys, LEAKY_QWEN_MODEL: sealed, LEAKY_OPENAI_API_KEY: sealed.replace(':k0:', ':k9:') });
    assert.match(moved, /LEAKY_QWEN_MODEL: does not decrypt: damaged, or encrypted for another variable/);
    assert.match(moved, /LEAKY_OPENAI_API_KEY: encrypted with the key k9, which LEAKY_CONFIG_KEY_FILE lacks/);
    assert.match(faultsOf({ LEAKY_ADMIN_PASSWORD: sealed }), /the key k0, which LEAKY_CONFIG_KEY_FILE would name/);
  });
});

describe('faults of the configuration', () => {
  it('are all said at once, without a value in them', () => {
    const message = faultsOf({
      LEAKY_CONFIG_FILE: file('LEAKY_GATEWY_PORT: 1\nLEAKY_RATE_LIMIT_OVERRIDES: { /api: { requests: none } }\nUNRELATED: hush\n'),
      LEAKY_AUTH_PORT: 'hush',
      LEAKY_MASTER_KEY: 'hush',
      LEAKY_ADMIN_PASSWORD: 'hush hush',
      LEAKY_ADMIN_PASSWORD_FILE: '/nowhere',
      LEAKY_STRIPE_API_KEY_FILE: '/nowhere',
      LEAKY_CONFIG_KEY: 'hush',
    });
    for (const fault of [
      /9 fault/,
      /LEAKY_GATEWY_PORT: no such variable; did you mean LEAKY_GATEWAY_PORT\? \(.*file-\d+\)/,
      /UNRELATED: no such variable \(/,
      /LEAKY_RATE_LIMIT_OVERRIDES: .api.requests: /,
      /LEAKY_AUTH_PORT: /,
      /LEAKY_MASTER_KEY: 64 hex digits/,
      /LEAKY_ADMIN_PASSWORD: set as well as LEAKY_ADMIN_PASSWORD_FILE/,
      /LEAKY_STRIPE_API_KEY: ENOENT.*nowhere/,
      /LEAKY_CONFIG_KEY: key number 1 is not id:64 hex digits/,
    ]) {
      assert.match(message, fault);
    }
    assert.doesNotMatch(message, /hush/);
  });

  it('say why a file is none', () => {
    assert.match(faultsOf({ LEAKY_CONFIG_FILE: '/nowhere.yaml' }), /LEAKY_CONFIG_FILE: ENOENT.*nowhere/);
    assert.match(faultsOf({ LEAKY_CONFIG_FILE: file('- a\n- b\n') }), /LEAKY_CONFIG_FILE: is not a map/);
    assert.match(faultsOf({ LEAKY_CONFIG_FILE: file('a: 1\na: 2\n') }), /LEAKY_CONFIG_FILE: .*unique/);
  });

  it('are warnings for variables of the environment that nothing reads', () => {
    const { warnings } = readConfig({ LEAKY_ADMIN_PASWORD: 'x', LEAKY_TEST_POSTGRES_URL: 'x', LEAKY_AUTH_PORT_FILE: file('1'), HOME: '/' });
    assert.deepEqual(warnings, ['LEAKY_ADMIN_PASWORD: no such variable; did you mean LEAKY_ADMIN_PASSWORD?']);
  });
});

describe('leaky config', function () {
  this.timeout(30_000);
  const leaky = path.join(distRoot, 'leaky.js');
  const key = file(`main:${randomBytes(32).toString('hex')}\n`);
  const run = (args: string[], environment: Record<string, string>, input = '') =>
    spawnSync(process.execPath, [leaky, 'config', ...args], { env: { PATH: process.env.PATH, ...environment }, input, encoding: 'utf8' });

  it('encrypts what print does not show and the program reads', () => {
    const sealed = run(['encrypt', 'LEAKY_POSTGRES_URL'], { LEAKY_CONFIG_KEY_FILE: key }, 'postgres://leaky:hush@db/leaky\n').stdout.trim();
    assert.match(sealed, /^enc:v1:main:/);
    const environment = { LEAKY_CONFIG_KEY_FILE: key, LEAKY_POSTGRES_URL: sealed, LEAKY_ADMIN_PASSWORD: 'hush hush', LEAKY_AUTH_PORT: '1' };
    assert.equal(loadConfig(environment).postgres.url, 'postgres://leaky:hush@db/leaky');
    const { stdout } = run(['print'], environment);
    assert.match(stdout, /LEAKY_POSTGRES_URL +postgres:\/\/leaky:\[redacted\]@db\/leaky +environment, encrypted/);
    assert.match(stdout, /LEAKY_ADMIN_PASSWORD +\[redacted\] +environment/);
    assert.match(stdout, /LEAKY_CONFIG_KEY +\[redacted\] +.*\(LEAKY_CONFIG_KEY_FILE\)/);
    assert.match(stdout, /LEAKY_AUTH_PORT +1 +environment/);
    assert.doesNotMatch(stdout, /hush/);
  });

  it('checks: exit code 2 on a fault or a misspelt variable, 0 when all is sound', () => {
    const faulty = run(['check'], { LEAKY_AUTH_PORT: 'x', LEAKY_TOKENS_PORT: 'y' });
    assert.deepEqual([faulty.status, faulty.stderr.match(/LEAKY_\w+/g)], [2, ['LEAKY_AUTH_PORT', 'LEAKY_TOKENS_PORT']]);
    const misspelt = run(['check'], { LEAKY_AUHT_PORT: '1' });
    assert.deepEqual([misspelt.status, misspelt.stderr.includes('did you mean LEAKY_AUTH_PORT?')], [2, true]);
    assert.equal(
      execFileSync(process.execPath, [leaky, 'config', 'check'], { env: {}, encoding: 'utf8' }),
      'The configuration is sound.\n',
    );
  });
});
