import { createServer, type AddressInfo } from 'node:net';
import { StartError } from './start-error.js';

export interface WantedPort {
  port: number;
  host: string;
  /** What listens there, for the message */
  purpose: string;
  /** The environment variable that changes it */
  variable: string;
}

/** Names every taken port at once, before anything is started. @throws StartError */
export async function requireFreePorts(wanted: readonly WantedPort[]): Promise<void> {
  const faults: string[] = [];
  const seen = new Map<number, WantedPort>();
  for (const entry of wanted) {
    const other = entry.port === 0 ? undefined : seen.get(entry.port);
    seen.set(entry.port, entry);
    if (other)
      faults.push(`Port ${entry.port} is wanted twice: by ${other.variable} (${other.purpose}) and ${entry.variable} (${entry.purpose}).`);
    else if (!(await isFree(entry.host, entry.port))) {
      faults.push(
        `Port ${entry.port} (${entry.purpose}) is taken by another program. Stop it, or choose another with ${entry.variable}=<port>.`,
      );
    }
  }
  if (faults.length > 0) throw new StartError(faults.join('\n'));
}

export async function freePort(host = '127.0.0.1'): Promise<number> {
  const port = await probe(host, 0);
  if (port === null) throw new Error(`No free port on ${host}`);
  return port;
}

/** Below the range from which the system gives ports to outgoing connections: one of those could take a port before we listen on it. */
const LOWEST_PORT = 12_000;
const HIGHEST_PORT = 30_000;

/** The first of `count` free ports in a row, for servers that count theirs up from one. */
export async function freePortBlock(count: number, host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const first = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT - count));
    const block = Array.from({ length: count }, (_, index) => isFree(host, first + index));
    if ((await Promise.all(block)).every(Boolean)) return first;
  }
  throw new Error(`No ${count} free ports in a row on ${host}`);
}

const isFree = async (host: string, port: number) => (await probe(host, port)) !== null;

/** Listens for a moment. Null when the port is taken or may not be used; other errors (no such address) are thrown. */
function probe(host: string, port: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null);
      else reject(new StartError(`Can't listen on ${host}: ${error.message}`, { cause: error }));
    });
    server.listen({ host, port, exclusive: true }, () => {
      const found = (server.address() as AddressInfo).port;
      server.close(() => resolve(found));
    });
  });
}
