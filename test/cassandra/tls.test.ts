import assert from 'node:assert/strict';
import { connectCassandra } from '../../adapters/cassandra/connection.js';
import { migrateCassandra } from '../../adapters/cassandra/migrate.js';
import { freePortBlock } from '../../embedded/ports.js';
import { createAuthority, KEYSTORE_PASSWORD } from '../support/certificates.js';
import { keyspaceOptions } from '../support/keyspace.js';
import { cassandraProvision } from '../support/cassandra.js';
import { native } from '../support/provide.js';

/** A node that takes only encrypted connections and asks for a password; its first user is what Cassandra comes with. */
describe('Cassandra over TLS with a password', function () {
  this.timeout(240_000);
  const authority = createAuthority('cassandra');
  const stranger = createAuthority('stranger');
  let options: ReturnType<typeof keyspaceOptions>;

  before('a node of its own', async () => {
    const { keystoreFile } = authority.issue('cassandra');
    const port = await freePortBlock(cassandraProvision.ports);
    const keystore = `keystore: ${keystoreFile}, keystore_password: ${KEYSTORE_PASSWORD}, store_type: PKCS12`;
    await native(
      {
        ...cassandraProvision,
        environment: () =>
          Promise.resolve({
            CASSANDRA_EXTRA: [
              `client_encryption_options: {enabled: true, optional: false, require_client_auth: false, ${keystore}}`,
              'authenticator: PasswordAuthenticator',
            ].join('\n'),
          }),
      },
      port,
    );
    options = { ...keyspaceOptions(`127.0.0.1:${port}`), username: 'cassandra', password: 'cassandra', tls: { ca: authority.ca } };
    // It makes its first user a moment after it answers.
    await connectCassandra({ ...options, keyspace: '' }).then(
      (client) => client.shutdown(),
      () => undefined,
    );
  });

  it('is set up and asked by who knows the authority and the password', async () => {
    assert.equal((await migrateCassandra(options)).length, 1);
    const client = await connectCassandra(options);
    assert.equal((await client.execute('SELECT count(*) AS count FROM token_usage_events')).first().count, 0n);
    await client.shutdown();
  });

  it("a certificate of another authority, or another server's, is refused", async () => {
    const asking = { ...options, keyspace: '', patienceMs: 10_000 };
    await assert.rejects(connectCassandra({ ...asking, tls: { ca: stranger.ca } }), /No connection.*certificate/);
    await assert.rejects(connectCassandra({ ...asking, tls: {} }), /No connection.*certificate/);
    await assert.rejects(
      connectCassandra({ ...asking, tls: { ca: authority.ca, servername: 'elsewhere.example' } }),
      /No connection.*altnames/,
    );
  });

  it('a wrong password is refused at once, and so is a connection that is not encrypted', async () => {
    const began = Date.now();
    await assert.rejects(
      connectCassandra({ ...options, keyspace: '', password: 'wrong' }),
      /No connection.*(username|password|credentials)/i,
    );
    assert.ok(Date.now() - began < options.patienceMs / 2);
    await assert.rejects(connectCassandra({ ...options, keyspace: '', tls: null, timeoutMs: 1_000, patienceMs: 3_000 }), /No connection/);
  });
});
