import assert from 'node:assert/strict';
import { chownSync, copyFileSync, chmodSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createPostgresKeyRevocations } from '../../adapters/postgres/key-revocations.js';
import { migrate } from '../../adapters/postgres/migrate.js';
import { createPool } from '../../adapters/postgres/pool.js';
import { ConfigError, loadConfig } from '../../config.js';
import { freePort } from '../../embedded/ports.js';
import { startPostgres, type EmbeddedPostgres } from '../../embedded/postgres.js';
import { createLogger } from '../../telemetry/log.js';
import { createAuthority, type Certificate } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/servers.js';

const START_TIMEOUT_MS = 60_000;

describe('PostgreSQL over TLS', () => {
  const authority = createAuthority();
  const stranger = createAuthority('stranger');
  const client = authority.issue('leaky', { client: true });
  let dataDir: string;
  let server: EmbeddedPostgres;

  before('a server that speaks nothing else and wants a client certificate', async function () {
    this.timeout(START_TIMEOUT_MS);
    dataDir = temporaryFolder('postgres-tls');
    server = await startPostgres({ dataDir, port: await freePort(), password: randomBytes(16).toString('hex'), fsync: false });
    await present(authority.issue('server'));
    writeFileSync(path.join(dataDir, 'postgres/pg_hba.conf'), 'hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n');
    await administer(server.url, `ALTER SYSTEM SET ssl_ca_file = 'ca.crt'`, 'ALTER SYSTEM SET ssl = on', 'SELECT pg_reload_conf()');
    await eventually('the server takes only TLS', async () => (await codeOf(server.url)) === NOT_ADMITTED);
  });
  after(async () => server?.child.stop());

  /** Puts a certificate where the server looks for it, as the server's own files. */
  async function present(certificate: Certificate): Promise<void> {
    const folder = path.join(dataDir, 'postgres');
    const { uid, gid } = statSync(folder);
    const files = { 'server.crt': certificate.certFile, 'server.key': certificate.keyFile, 'ca.crt': authority.caFile };
    for (const [name, source] of Object.entries(files)) {
      const target = path.join(folder, name);
      copyFileSync(source, target);
      chmodSync(target, 0o600);
      chownSync(target, uid, gid);
    }
  }

  const secured = (parameters: Record<string, string> = {}): string => {
    const url = new URL(server.url);
    const all = { sslmode: 'verify-full', sslrootcert: authority.caFile, sslcert: client.certFile, sslkey: client.keyFile, ...parameters };
    for (const [name, value] of Object.entries(all)) if (value) url.searchParams.set(name, value);
    return loadConfig({ LEAKY_POSTGRES_URL: url.href }).postgres.url ?? '';
  };

  it('serves migrations, pools and listeners over one address', async function () {
    this.timeout(START_TIMEOUT_MS);
    assert.ok((await migrate(secured())).length > 0);
    const pool = createPool(secured(), 1);
    const { rows } = await pool.query('SELECT ssl, version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    await pool.end();
    assert.deepEqual(rows, [{ ssl: true, version: 'TLSv1.3', client_dn: '/CN=leaky' }]);
    const listener = await createPostgresKeyRevocations(secured(), createLogger('silent'));
    await eventually('the listener is live', () => listener.live);
    await listener.close();
  });

  it('is refused without TLS and without a client certificate', async () => {
    assert.equal(await codeOf(secured({ sslmode: 'disable', sslrootcert: '', sslcert: '', sslkey: '' })), NOT_ADMITTED);
    assert.equal(await codeOf(secured({ sslcert: '', sslkey: '' })), NOT_ADMITTED);
  });

  it('is refused when the server proves nothing: another authority, another name', async () => {
    assert.equal(await codeOf(secured({ sslrootcert: stranger.caFile })), 'SELF_SIGNED_CERT_IN_CHAIN');
    await present(authority.issue('elsewhere', { hosts: ['db.example', 'localhost'] }));
    const reload = createPool(secured(), 1);
    await reload.query('SELECT pg_reload_conf()');
    await reload.end();
    await eventually('the name is refused', async () => (await codeOf(secured())) === 'ERR_TLS_CERT_ALTNAME_INVALID');
  });
});

describe('the address of PostgreSQL', () => {
  const fault = (url: string): string => {
    try {
      loadConfig({ LEAKY_POSTGRES_URL: url });
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      assert.doesNotMatch(error.message, /hush/, 'the password shows');
      return error.message;
    }
    return '';
  };

  it('is refused in words when its form, its mode or its files are wrong', () => {
    assert.match(fault('mysql://a:hush@b/c'), /LEAKY_POSTGRES_URL: not of the form postgres:/);
    assert.match(fault('postgres://a:hush@b/c?sslmode=require'), /sslmode=require: one of disable, verify-full/);
    assert.match(fault('postgres://a:hush@b/c?sslmode=verify-full&sslrootcert=/nowhere.crt'), /sslrootcert: ENOENT.*nowhere\.crt/);
    assert.match(fault('postgres://a:hush@b/c?sslcert=/dev/null'), /sslcert: means nothing without sslmode=verify-full/);
  });

  it('takes the password from its own variable, whatever characters it has', () => {
    const { url } = loadConfig({ LEAKY_POSTGRES_URL: 'postgres://a@b:5/c', LEAKY_POSTGRES_PASSWORD: 'p@ss/w:o%r d?' }).postgres;
    assert.equal(new pg.Client({ connectionString: url }).password, 'p@ss/w:o%r d?');
  });
});

/** invalid_authorization_specification: no line of pg_hba.conf, or no certificate, lets this connection in */
const NOT_ADMITTED = '28000';

async function codeOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
    return 'connected';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function administer(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
