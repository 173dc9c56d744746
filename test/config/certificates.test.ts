import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { createAuthority } from '../support/certificates.js';

describe('the certificates of the TLS tests', () => {
  const authority = createAuthority();
  const server = authority.issue('server');
  const client = authority.issue('app', { client: true });

  const greet = async (options: tls.ConnectionOptions): Promise<string> => {
    const listener = tls.createServer({ cert: server.cert, key: server.key, ca: authority.ca, requestCert: true }, (socket) => {
      socket.on('error', () => undefined);
      socket.end(String(socket.getPeerCertificate().subject?.CN));
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const socket = tls.connect({ host: '127.0.0.1', port: (listener.address() as AddressInfo).port, ...options });
    try {
      return String((await once(socket, 'data'))[0]);
    } finally {
      socket.destroy();
      listener.close();
    }
  };

  it('prove this machine and the client to each other', async () => {
    assert.equal(await greet({ ca: authority.ca, cert: client.cert, key: client.key }), 'app');
    assert.equal(await greet({ ca: authority.ca, servername: 'localhost', cert: client.cert, key: client.key }), 'app');
  });

  it('prove nothing under another name or to who trusts another authority', async () => {
    await assert.rejects(greet({ ca: authority.ca, servername: 'elsewhere.example' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    await assert.rejects(greet({ ca: createAuthority('stranger').ca }), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  });
});
