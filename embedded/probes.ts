import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

const HOST = '127.0.0.1';
const TIMEOUT_MS = 3_000;

/** PostgreSQL's SSLRequest: the postmaster forks a process to answer it, which needs no login and leaves no line in the log. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** Whether the server takes connections. A listening socket alone would say so of a stopped process too. */
export function postgresAnswers(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: HOST, port });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => socket.write(SSL_REQUEST));
    socket.once('data', () => {
      resolve();
      socket.destroy();
    });
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
}

/** Whether the gRPC server answers: by HTTP/2's ping, apart from the SDK, whose connection is busy connecting anew meanwhile. */
export function temporalAnswers(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${HOST}:${port}`);
    session.setTimeout(TIMEOUT_MS, () => session.destroy(new Error('no answer')));
    session.on('error', reject);
    session.once('close', () => reject(new Error('the connection was closed')));
    session.once('connect', () =>
      session.ping((error) => {
        if (error) reject(error);
        else resolve();
        session.destroy();
      }),
    );
  });
}
