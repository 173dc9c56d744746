import assert from 'node:assert/strict';
import { connectTemporal } from '../../adapters/temporal/connection.js';
import { createResources, type Resources } from '../../compose/resources.js';
import { setUp } from '../../compose/setup.js';
import { temporalOptions } from '../../compose/temporal.js';
import { loadConfig } from '../../config.js';
import { SEARCH_ATTRIBUTES } from '../../contracts/temporal.js';
import { createLogger } from '../../telemetry/log.js';
import { ensureNamespace } from '../../temporal-config/namespace.js';
import { createAuthority } from '../support/certificates.js';
import { readUntil } from '../support/eventually.js';
import { SERVER_NAME, startSecureTemporal, type SecureTemporal } from '../support/secure-temporal.js';

const attributes = Object.keys(SEARCH_ATTRIBUTES);

describe('leaky setup on a server with mutual TLS and permissions', function () {
  this.timeout(300_000);
  let server: SecureTemporal;
  before(async () => void (server = await startSecureTemporal()));

  /** The lines it says, and the error it ends with. */
  async function setUpWith(permissions: string[], more: Record<string, string> = {}) {
    const config = loadConfig({ ...(await server.environment(...permissions)), ...more });
    const resources: Resources = createResources({ config, log: createLogger('silent') });
    const lines: string[] = [];
    try {
      await setUp(resources, (line) => lines.push(line));
      return { lines, error: '' };
    } catch (error) {
      return { lines, error: String(error) };
    } finally {
      await resources.close();
    }
  }
  const states = (lines: string[]) => new Set(lines.slice(0, -1).map((line) => line.slice(0, 10).trim()));

  it('creates what is missing, then finds all of it, then says what differs and leaves it', async () => {
    const more = { LEAKY_TEMPORAL_NAMESPACE: 'admins', LEAKY_WORKER_VERSIONING: 'true', LEAKY_BUILD_ID: 'one' };
    const first = await setUpWith(['temporal-system:admin'], more);
    assert.deepEqual([first.error, [...states(first.lines)]], ['', ['created']], first.lines.join('\n'));
    const second = await setUpWith(['temporal-system:admin'], more);
    assert.deepEqual([second.error, [...states(second.lines)]], ['', ['as wanted']], second.lines.join('\n'));
    assert.equal(second.lines.at(-1), 'Temporal: is set up');
    assert.equal(second.lines.length, first.lines.length);

    const changed = { ...more, LEAKY_TEMPORAL_RETENTION_DAYS: '30', LEAKY_RECONCILE_SECONDS: '45', LEAKY_BUILD_ID: 'two' };
    const third = await setUpWith(['temporal-system:admin'], changed);
    assert.deepEqual(
      third.lines.filter((line) => !line.startsWith('as wanted')).map((line) => line.split(': ')[0]),
      ['differs     namespace admins', 'updated     schedule ledger-reconciliation', 'differs     current worker version two', 'Temporal'],
    );
    assert.match(third.lines[0] ?? '', /keeps histories for 3 days, the configuration says 30/);
  });

  it('says what to do by hand where only others may do it, and does the rest once that is done', async () => {
    const mine = { LEAKY_TEMPORAL_NAMESPACE: 'cloudy' };
    const refused = await setUpWith(['cloudy:write'], mine);
    assert.match(refused.error, /by hand.*namespace cloudy/);
    assert.match(refused.lines[0] ?? '', /^by hand +namespace cloudy: .*unauthorized.*retention/i);

    // Somebody has made the namespace, and nothing in it.
    const { connection, close } = await connectTemporal({
      ...temporalOptions(loadConfig(await server.environment('temporal-system:admin'))),
      patienceMs: 5_000,
    });
    await ensureNamespace(connection, 'cloudy', 3);
    await close();
    const half = await setUpWith(['cloudy:write'], mine);
    assert.match(half.error, new RegExp(attributes.map((name) => `search attribute ${name}`).join(', ')));
    assert.equal(half.lines.filter((line) => line.startsWith('by hand')).length, attributes.length);
    assert.equal(half.lines.filter((line) => /^created +schedule/.test(line)).length, 5, half.lines.join('\n'));

    await setUpWith(['temporal-system:admin'], mine);
    const whole = await setUpWith(['cloudy:write'], mine);
    assert.deepEqual([whole.error, [...states(whole.lines)]], ['', ['as wanted']], whole.lines.join('\n'));
  });

  it('is refused without a certificate, by another authority, under another name and without permissions', async () => {
    const stranger = createAuthority('stranger');
    const impostor = stranger.issue('impostor', { client: true });
    // The server's word about our certificate comes after the handshake and may be lost with the connection that it closes.
    const byServer = /CertificateRequired|UnknownCA|bad ?certificate|connection closed/i;
    const byUs = /invalid peer certificate|UnknownIssuer|NotValidForName/i;
    const cases: [Record<string, string | undefined>, RegExp][] = [
      [{ LEAKY_TEMPORAL_TLS_CERT_FILE: undefined, LEAKY_TEMPORAL_TLS_KEY_FILE: undefined }, byServer],
      [{ LEAKY_TEMPORAL_TLS_CERT_FILE: impostor.certFile, LEAKY_TEMPORAL_TLS_KEY_FILE: impostor.keyFile }, byServer],
      [{ LEAKY_TEMPORAL_TLS_CA_FILE: stranger.caFile }, byUs],
      [{ LEAKY_TEMPORAL_TLS_SERVER_NAME: `not-${SERVER_NAME}` }, byUs],
    ];
    const refused = cases.map(async ([over, reason]) => {
      const environment: NodeJS.ProcessEnv = { ...(await server.environment('temporal-system:admin')), ...over };
      // At the same time, as each is tried until its patience ends; that has to be long enough for one attempt on a busy machine.
      const options = { ...temporalOptions(loadConfig(environment)), patienceMs: 6_000 };
      const attempt = () => connectTemporal(options).then(() => 'connected', String);
      // Lost once more where we were still writing: then another attempt has to hear it.
      const said = await readUntil('an attempt hears why', attempt, (each) => !/broken pipe|connection reset/i.test(each), 20_000);
      assert.match(said, reason);
    });
    await Promise.all(refused);
    const nobody = await setUpWith([], { LEAKY_TEMPORAL_NAMESPACE: 'admins' });
    assert.match(nobody.error, /by hand/);
  });

  it('loads our dynamic configuration without a complaint of the server', () => {
    assert.doesNotMatch(server.log(), /unregistered key|dynamic config.*(error|invalid)/i);
  });
});
