import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import express from 'express';
import { trustOf } from '../../api/http/trusted-proxies.js';
import { ConfigError, listVariables, loadConfig, requireFor } from '../../config.js';
import { TASKS } from '../../config/rules.js';
import { pathFaults } from '../../compose/gateway-paths.js';
import { distRoot } from '../../root.js';
import { createAuthority } from '../support/certificates.js';

function faultsOf(environment: NodeJS.ProcessEnv): string[] {
  try {
    const config = loadConfig(environment);
    requireFor(config, ...TASKS);
    return pathFaults(config);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message.split('\n').slice(1);
  }
}

const authority = createAuthority('rules');
const [one, other] = [authority.issue('one', { client: true }), authority.issue('other', { client: true })];

/** What can't work, or what nobody would apply, by the variable that is told of it. */
const UNSOUND: [string, NodeJS.ProcessEnv][] = [
  ['LEAKY_TRUST_PROXY', { LEAKY_TRUST_PROXY: '10.0.0.0/33' }],
  ['LEAKY_TRUST_PROXY', { LEAKY_TRUST_PROXY: '10.0.0.0/8, true' }],
  ['LEAKY_TRUST_PROXY', { LEAKY_TRUST_PROXY: 'proxy.example.com' }],
  ['LEAKY_TRUST_PROXY', { LEAKY_TRUST_PROXY: 'fd00::/129' }],
  ['LEAKY_TRUSTED_GATEWAYS', { LEAKY_TRUSTED_GATEWAYS: '10.0.0.0/' }],
  ['LEAKY_STRIPE_API_KEY', { LEAKY_PAYMENTS: 'stripe' }],
  ['LEAKY_STRIPE_API_KEY', { LEAKY_PAYMENTS: 'stripe', LEAKY_STRIPE_API_KEY: 'pk_live_0123456789' }],
  ['LEAKY_STRIPE_BASE_URL', { LEAKY_STRIPE_BASE_URL: 'ftp://pay' }],
  ['LEAKY_OPENAI_API_KEY', { LEAKY_OPENAI_BASE_URL: 'https://api.openai.com' }],
  ['LEAKY_OPENAI_API_KEY', { LEAKY_OPENAI_BASE_URL: 'https://api.openai.com/v1', LEAKY_OPENAI_API_KEY: ' ' }],
  ['LEAKY_GEMINI_API_KEY', { LEAKY_GEMINI_BASE_URL: 'https://generativelanguage.googleapis.com', LEAKY_GEMINI_API_KEY: 'stub' }],
  ['LEAKY_QWEN_API_KEY', { LEAKY_QWEN_BASE_URL: 'http://models.example.com/compatible-mode' }],
  ['LEAKY_OPENAI_BASE_URL', { LEAKY_OPENAI_BASE_URL: 'api.openai.com' }],
  ['LEAKY_OPENAI_BASE_URL', { LEAKY_OPENAI_BASE_URL: 'http://127.0.0.1:1/?key=x' }],
  ['LEAKY_PUBLIC_URL', { LEAKY_PUBLIC_URL: 'javascript:alert(1)' }],
  ['LEAKY_CORS_ORIGINS', { LEAKY_CORS_ORIGINS: 'https://app.example.com/' }],
  ['LEAKY_CORS_ORIGINS', { LEAKY_CORS_ORIGINS: 'https://*.example.com' }],
  ['LEAKY_CORS_ORIGINS', { LEAKY_CORS_ORIGINS: 'app.example.com' }],
  ['LEAKY_CORS_ORIGINS', { LEAKY_CORS_ORIGINS: 'https://App.example.com' }],
  ['LEAKY_CORS_ORIGINS', { LEAKY_CORS_ORIGINS: 'https://app.example.com:443' }],
  ['LEAKY_CORS_ORIGINS', { LEAKY_CORS_ORIGINS: '*,https://app.example.com' }],
  ['LEAKY_CODEC_ORIGINS', { LEAKY_CODEC_ORIGINS: '*' }],
  ['LEAKY_RATE_LIMIT_OVERRIDES', { LEAKY_RATE_LIMIT_OVERRIDES: '{"/api/v1/token/consume":{"requests":1,"windowSeconds":1}}' }],
  ['LEAKY_RATE_LIMIT_OVERRIDES', { LEAKY_RATE_LIMIT_OVERRIDES: '{"/api/v1/tokens/consume":{"request":1,"windowSeconds":1}}' }],
  ['LEAKY_RATE_LIMIT_OVERRIDES', { LEAKY_RATE_LIMIT_OVERRIDES: '{"api":{"requests":1,"windowSeconds":1}}' }],
  ['LEAKY_RATE_LIMIT_EXEMPT', { LEAKY_RATE_LIMIT_EXEMPT: 'health' }],
  ['LEAKY_RATE_LIMIT_EXEMPT', { LEAKY_RATE_LIMIT_EXEMPT: '/healthz' }],
  ['LEAKY_GATEWAY_ROUTES', { LEAKY_GATEWAY_ROUTES: '{"/api/v1/tokens":{"addRequestHeader":{"x":"y"}}}' }],
  ['LEAKY_GATEWAY_ROUTES', { LEAKY_GATEWAY_ROUTES: '{"/api/v2":{"removeRequestHeaders":["x"]}}' }],
  ['LEAKY_GATEWAY_ROUTES', { LEAKY_GATEWAY_ROUTES: '{"/api/v1/tokens":{"addResponseHeaders":{"x y":"z"}}}' }],
  ['LEAKY_GATEWAY_ROUTES', { LEAKY_GATEWAY_ROUTES: '{"/api/v1/tokens":{"addResponseHeaders":{"x":"a\\nb"}}}' }],
  ['LEAKY_GATEWAY_ROUTES', { LEAKY_GATEWAY_ROUTES: '{"/api/v1/tokens":{"rewritePath":{"from":"/other","to":"/x"}}}' }],
  ['LEAKY_AUTH_PORT', { LEAKY_AUTH_PORT: '8080' }],
  ['LEAKY_STUB_OPENAI_PORT', { LEAKY_STUB_OPENAI_PORT: '9000', LEAKY_WORKER_PORT: '9000' }],
  ['LEAKY_SHUTDOWN_LIMIT_MS', { LEAKY_SHUTDOWN_GRACE_MS: '40000' }],
  ['LEAKY_SHUTDOWN_LIMIT_MS', { LEAKY_SHUTDOWN_DELAY_MS: '30001' }],
  ['LEAKY_GATEWAY_PORT', { LEAKY_GATEWAY_PORT: '' }],
  ['LEAKY_GATEWAY_PORT', { LEAKY_GATEWAY_PORT: '0x50' }],
  ['LEAKY_PROVIDER_TIMEOUT_MS', { LEAKY_PROVIDER_TIMEOUT_MS: '2147483648' }],
  ['LEAKY_PROVIDER_TIMEOUT_MS', { LEAKY_PROVIDER_TIMEOUT_MS: '5s' }],
  ['LEAKY_KAFKA_BROKERS', { LEAKY_KAFKA_BROKERS: 'kafka' }],
  ['LEAKY_KAFKA_BROKERS', { LEAKY_KAFKA_BROKERS: 'kafka:9092,http://kafka:9092' }],
  ['LEAKY_KAFKA_SASL_MECHANISM', { LEAKY_KAFKA_SASL_USERNAME: 'u', LEAKY_KAFKA_SASL_PASSWORD: 'p' }],
  ['LEAKY_KAFKA_MIN_INSYNC_REPLICAS', { LEAKY_KAFKA_REPLICATION_FACTOR: '1' }],
  ['LEAKY_KAFKA_TLS_CA', { LEAKY_KAFKA_TLS_CA: authority.ca }],
  ['LEAKY_CASSANDRA_CONTACT_POINTS', { LEAKY_CASSANDRA_CONTACT_POINTS: 'cassandra:0' }],
  ['LEAKY_CASSANDRA_PASSWORD', { LEAKY_CASSANDRA_PASSWORD: 'p' }],
  ['LEAKY_CASSANDRA_TLS_CERT', { LEAKY_CASSANDRA_TLS: 'true', LEAKY_CASSANDRA_TLS_CERT: one.cert }],
  ['LEAKY_TEMPORAL_TLS_CERT', { LEAKY_TEMPORAL_TLS_CERT: one.cert, LEAKY_TEMPORAL_TLS_KEY: other.key }],
  ['LEAKY_TEMPORAL_TLS_CA', { LEAKY_TEMPORAL_TLS_CA: '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----' }],
  ['LEAKY_TEMPORAL_ADDRESS', { LEAKY_TEMPORAL_ADDRESS: 'http://temporal:7233' }],
  ['LEAKY_REDIS_TLS_CA', { LEAKY_REDIS_URL: 'redis://r:6379', LEAKY_REDIS_TLS_CA: authority.ca }],
  ['LEAKY_REDIS_URL', { LEAKY_REDIS_URL: 'redis://a:1,b:2' }],
  ['LEAKY_REDIS_URL', { LEAKY_REDIS_URL: 'redis://a:1/3', LEAKY_REDIS_CLUSTER: 'on' }],
  ['LEAKY_PAYLOAD_ACTIVE_KEY', { LEAKY_PAYLOAD_ACTIVE_KEY: 'k9' }],
  ['LEAKY_JWT_TTL_SECONDS', { LEAKY_JWT_TTL_SECONDS: '86401' }],
  ['LEAKY_ADMIN_PASSWORD', { LEAKY_ADMIN_PASSWORD: 'ä'.repeat(40) }],
];

const SOUND: NodeJS.ProcessEnv[] = [
  {},
  { LEAKY_TRUST_PROXY: 'true' },
  { LEAKY_TRUST_PROXY: '1' },
  { LEAKY_TRUST_PROXY: 'loopback, 10.0.0.0/8, fd00::1' },
  { LEAKY_TRUSTED_GATEWAYS: 'uniquelocal' },
  { LEAKY_PAYMENTS: 'stripe', LEAKY_STRIPE_API_KEY: 'sk_test_1' },
  { LEAKY_PAYMENTS: 'stripe', LEAKY_STRIPE_API_KEY: 'rk_live_1' },
  { LEAKY_OPENAI_BASE_URL: 'https://api.openai.com/v1/', LEAKY_OPENAI_API_KEY: 'sk-1' },
  { LEAKY_OPENAI_BASE_URL: 'http://vllm:8000' },
  { LEAKY_OPENAI_BASE_URL: 'http://10.1.2.3:8000/v1' },
  { LEAKY_CORS_ORIGINS: 'https://app.example.com,http://localhost:3000' },
  { LEAKY_RATE_LIMIT_OVERRIDES: '{"/API/v1":{"requests":1,"windowSeconds":1}}' },
  { LEAKY_RATE_LIMIT_OVERRIDES: '{"/api/v1/tokens/consume/0000":{"requests":1,"windowSeconds":1}}' },
  { LEAKY_RATE_LIMIT_EXEMPT: '/health,/metrics' },
  { LEAKY_GATEWAY_ROUTES: '{"/api/v1/tokens":{"rewritePath":{"from":"/api/v1","to":"/internal"}}}' },
  { LEAKY_AUTH_PORT: '0', LEAKY_TOKENS_PORT: '0' },
  { LEAKY_TEMPORAL_TLS_CERT: one.cert, LEAKY_TEMPORAL_TLS_KEY: one.key },
];

describe('what cannot work in a configuration', () => {
  it('is told of the variable that is to be changed', () => {
    for (const [name, environment] of UNSOUND) {
      const faults = faultsOf(environment);
      assert.ok(
        faults.some((fault) => fault.trim().startsWith(`${name}: `)),
        `${JSON.stringify(environment)}: ${faults.join('; ') || 'sound'}`,
      );
    }
  });

  it('is nothing of what can', () => {
    for (const environment of SOUND) assert.deepEqual(faultsOf(environment), [], JSON.stringify(environment));
  });

  it('is said together: one fault hides no other', () => {
    const faults = faultsOf({ LEAKY_PAYMENTS: 'stripe', LEAKY_AUTH_PORT: 'x', LEAKY_TOKENS_PORT: '8080', LEAKY_CORS_ORIGINS: 'a' });
    assert.deepEqual(
      faults.map((fault) => fault.trim().split(':', 1)[0]),
      ['LEAKY_AUTH_PORT', 'LEAKY_CORS_ORIGINS', 'LEAKY_TOKENS_PORT', 'LEAKY_STRIPE_API_KEY'],
    );
  });

  it('is no blank and no time beyond the timers of Node, whichever variable has it', () => {
    for (const { name, values } of listVariables().flatMap(({ variables }) => variables)) {
      if (!/^(?:number|\d)/.test(values)) continue;
      if (loadsAs(name, '') === 0) assert.fail(`${name}: a blank became 0`);
      if (name.endsWith('_MS')) assert.notDeepEqual(faultsOf({ [name]: '9999999999' }), [], name);
    }
  });

  it('is no fault of a service that does not do it: the gateway has neither the keys of providers nor that of payments', () => {
    const config = loadConfig({ LEAKY_PAYMENTS: 'stripe', LEAKY_OPENAI_BASE_URL: 'https://api.openai.com' });
    assert.doesNotThrow(() => requireFor(config));
    assert.throws(() => requireFor(config, 'payments'), /LEAKY_STRIPE_API_KEY: required/);
    assert.throws(() => requireFor(config, 'providers'), /LEAKY_OPENAI_API_KEY: required/);
  });

  it('ends config check with 2, and the start of the gateway', function () {
    this.timeout(30_000);
    const leaky = path.join(distRoot, 'leaky.js');
    const LEAKY_RATE_LIMIT_OVERRIDES = '{"/api/v1/token":{"requests":1,"windowSeconds":1}}';
    for (const args of [['config', 'check'], ['gateway']]) {
      const { status, stderr, stdout } = spawnSync(process.execPath, [leaky, ...args], {
        env: { PATH: process.env.PATH, LEAKY_RATE_LIMIT_OVERRIDES, LEAKY_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/none' },
        encoding: 'utf8',
        timeout: 25_000,
      });
      assert.notEqual(status, 0, args.join(' '));
      assert.match(stderr + stdout, /LEAKY_RATE_LIMIT_OVERRIDES: no route is under \/api\/v1\/token/, args.join(' '));
    }
  });
});

/** A number that a text became, where the configuration took it */
function loadsAs(name: string, text: string): number | null {
  return faultsOf({ [name]: text }).length === 0 && text === '' && !isOptional(name) ? 0 : null;
}
const isOptional = (name: string) =>
  listVariables()
    .flatMap(({ variables }) => variables)
    .find((variable) => variable.name === name)?.fallback === undefined;

describe('whose X-Forwarded-For counts', () => {
  const networks = (...names: string[]) => ({ kind: 'networks' as const, networks: names });
  const clientOf = (trust: ReturnType<typeof trustOf>, peer: string, forwarded: string): string | undefined => {
    const app = express().set('trust proxy', trust);
    const req = Object.create(app.request) as { ip: string | undefined };
    Object.assign(req, {
      app,
      socket: { remoteAddress: peer },
      connection: { remoteAddress: peer },
      headers: { 'x-forwarded-for': forwarded },
    });
    return req.ip;
  };

  it('is decided by network, by the number of hops, or not at all', () => {
    assert.equal(clientOf(trustOf(networks(), null), '9.9.9.9', '1.1.1.1'), '9.9.9.9');
    assert.equal(clientOf(trustOf(networks('9.0.0.0/8'), null), '9.9.9.9', '1.1.1.1'), '1.1.1.1');
    assert.equal(clientOf(trustOf(networks('loopback'), null), '::ffff:127.0.0.1', '1.1.1.1'), '1.1.1.1');
    assert.equal(clientOf(trustOf(networks('fd00::/8'), null), 'fd12::1', '2001:db8::1'), '2001:db8::1');
    assert.equal(clientOf(trustOf({ kind: 'hops', hops: 1 }, null), '9.9.9.9', '6.6.6.6, 1.1.1.1'), '1.1.1.1');
    assert.equal(clientOf(trustOf({ kind: 'hops', hops: 2 }, null), '9.9.9.9', '6.6.6.6, 1.1.1.1'), '6.6.6.6');
    assert.equal(clientOf(trustOf({ kind: 'all' }, null), '9.9.9.9', '5.5.5.5, 6.6.6.6, 1.1.1.1'), '5.5.5.5');
  });

  it('counts hops from the gateway on, behind it', () => {
    const trust = trustOf({ kind: 'hops', hops: 1 }, networks('uniquelocal'));
    // client 1.1.1.1 → proxy 9.9.9.9 → gateway 10.0.0.5 → service; 6.6.6.6 is what the client claims
    assert.equal(clientOf(trust, '10.0.0.5', '6.6.6.6, 1.1.1.1, 9.9.9.9'), '1.1.1.1');
    assert.equal(clientOf(trust, '9.9.9.9', '6.6.6.6, 1.1.1.1'), '9.9.9.9');
    assert.equal(clientOf(trustOf(networks(), networks('loopback')), '10.0.0.5', '1.1.1.1'), '10.0.0.5');
  });
});
