import { Cluster, Redis, ReplyError, type RedisOptions } from 'ioredis';
import { ConfigError, type Config } from '../../config.js';
import { recogniseOutages } from '../../platform/outages.js';
import type { Logger } from '../../telemetry/log.js';
import { activeTracer, traced } from '../../telemetry/tracing.js';

export type RedisClient = Redis | Cluster;

/** The driver has no classes for these; those that it has are named as in its sources. */
const NAMES = new Set(['MaxRetriesPerRequestError', 'ClusterAllFailedError']);
const MESSAGES =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|Socket timeout|None of startup nodes|Cluster is |Cluster isn't ready|Node is disconnected|Too many Cluster redirections)/;
/** Of a server that is there and cannot serve now. */
const REPLIES = /^(?:LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|TRYAGAIN|OOM|MISCONF|BUSY|NOREPLICAS)\b/;

recogniseOutages('redis', (error) =>
  error instanceof ReplyError ? REPLIES.test(error.message) : NAMES.has(error.name) || MESSAGES.test(error.message),
);

const CONNECT_TIMEOUT_MS = 1_000;
/** How long a start waits for Redis before it goes on without. */
const FIRST_CONNECTION_MS = 2_000;
const MAX_RECONNECT_MS = 1_000;

/**
 * Nothing waits for a connection and nothing is sent twice: a command reaches the server now or fails now, at the latest after
 * `timeoutMs`. Twice would charge a bucket twice. A server that sends nothing for twice as long while commands wait has hung:
 * then the connection is made anew, and until it stands nothing is sent at all.
 */
const failingFast = (timeoutMs: number) =>
  ({
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs,
    socketTimeout: 2 * timeoutMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    connectionName: 'leaky-tokens',
    // A master that became a replica behind the same name
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  }) satisfies RedisOptions;

const reconnectAfter = (times: number): number => Math.min(50 * 2 ** Math.min(times, 10), MAX_RECONNECT_MS);

/**
 * Opens the connection, or goes on without it when the server does not answer in time: it is made again in the background.
 * @throws ConfigError when the server answers and refuses us, as waiting would not help
 */
export async function connectRedis({ address, cluster, tls, timeoutMs }: Config['redis'], log: Logger): Promise<RedisClient> {
  if (!address) throw new ConfigError('LEAKY_REDIS_URL: required here (redis://host:port)');
  const { nodes, username, password, db } = address;
  const credentials = { ...(username && { username }), ...(password && { password }), ...(tls && { tls }) };
  const [first = { host: '127.0.0.1', port: 6379 }] = nodes;
  const client = cluster
    ? new Cluster(nodes, {
        lazyConnect: true,
        enableOfflineQueue: false,
        redisOptions: { ...failingFast(timeoutMs), ...credentials },
        clusterRetryStrategy: reconnectAfter,
        clusterNodeRetryStrategy: reconnectAfter,
        slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
        // Enough for a slot that moves, and a node that is gone is soon told.
        maxRedirections: 4,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        // With TLS the certificate names hosts, so they must not be turned into addresses first.
        ...(tls && { dnsLookup: (host, callback) => callback(null, host) }),
      })
    : new Redis({ ...failingFast(timeoutMs), ...first, ...credentials, db, lazyConnect: true, retryStrategy: reconnectAfter });

  let fault: Error | undefined;
  let refusal: Error | undefined;
  // A cluster tells of its nodes apart; without listeners the library would write errors to the console.
  for (const event of ['error', 'node error']) {
    client.on(event, (error: Error) => {
      fault = error;
      if (isRefusal(error)) refusal = error;
    });
  }
  await Promise.race([client.connect(), late()]).catch((error: Error) => (fault ??= error));
  if (refusal) {
    client.disconnect();
    throw new ConfigError(`LEAKY_REDIS_URL: the server refuses the connection: ${refusal.message}`);
  }
  if (client.status !== 'ready') log.warn({ err: fault }, 'Redis is not reached yet; going on without it');
  return traceCommands(client);
}

/** Each command becomes a span; its key and values are not shown. */
function traceCommands(client: RedisClient): RedisClient {
  if (!activeTracer()) return client;
  const send = client.sendCommand.bind(client) as (command: { name: string }, ...rest: unknown[]) => Promise<unknown>;
  const spanned: typeof send = (command, ...rest) =>
    traced(`redis ${command.name}`, { kind: 'client', attributes: { 'db.system.name': 'redis' } }, () => send(command, ...rest));
  return Object.assign(client, { sendCommand: spanned });
}

const late = (): Promise<never> =>
  new Promise((_, reject) => setTimeout(() => reject(new Error('no connection in time')), FIRST_CONNECTION_MS).unref());

const isRefusal = (error: Error): boolean => error instanceof ReplyError && /^(?:WRONGPASS|NOAUTH|NOPERM)/.test(error.message);

export type Script = (key: string, ...args: (string | number)[]) => Promise<unknown>;

/** One atomic script on one key, sent by its hash and in full where the server does not know it yet. */
export function defineScript(client: RedisClient, name: string, lua: string): Script {
  client.defineCommand(name, { numberOfKeys: 1, lua });
  const command = Reflect.get(client, name) as Script;
  return (key, ...args) => command.call(client, key, ...args);
}

/** The server's clock in whole milliseconds, as `now`: the processes that share a key share its clock as well. */
export const SERVER_CLOCK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;
