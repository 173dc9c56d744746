import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../embedded/ports.js';
import { eventually } from './eventually.js';
import { serverScript } from './provide.js';
import { atEnd, temporaryFolder } from './servers.js';

/** A Redis that a test has for itself, to set up in its own way and to break. Native only: signals need the process. */
export interface OwnRedis {
  port: number;
  url: string;
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** On the same port, empty; resolves when it answers */
  start(): Promise<void>;
}

export interface OwnRedisOptions {
  /** More lines of redis.conf */
  settings?: (port: number, folder: string) => readonly string[];
  /** Default: whether a plain connection gets any answer, be it a refusal */
  answers?: (port: number) => Promise<unknown>;
}

/** For the enclosing `describe`: starts before its tests; ends with the mocha run. */
export async function startOwnRedis({ settings = () => [], answers = pong }: OwnRedisOptions = {}): Promise<OwnRedis> {
  const port = await freePort();
  const folder = temporaryFolder('redis');
  const environment = { LEAKY_SERVER_OWNER: String(process.pid), REDIS_EXTRA: settings(port, folder).join('\n') };
  const start = async () => {
    await script('start', [folder, String(port)], environment);
    await eventually(`Redis on ${port} answers`, () =>
      answers(port).then(
        () => true,
        () => false,
      ),
    );
  };
  await start();
  atEnd(() => script('stop', [folder], environment));
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    signal: (signal) => void process.kill(Number(readFileSync(path.join(folder, 'redis.pid'), 'utf8')), signal),
    start,
  };
}

async function pong(port: number): Promise<void> {
  const client = new Redis({ port, lazyConnect: true, connectTimeout: 1_000, retryStrategy: () => null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}

async function script(command: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const code = await serverScript('redis', [command, ...args], { ...process.env, ...environment });
  if (code !== 0) throw new Error(`redis.sh ${command} failed; its messages are above`);
}
