import { auth, Client, errors, policies, types, type ClientOptions } from 'cassandra-driver';
import { ConstantBackoff, handleWhen, retry, timeout, TimeoutStrategy, wrap } from 'cockatiel';
import type { ConnectionOptions } from 'node:tls';
import { recogniseOutages } from '../../platform/outages.js';

const CONSISTENCIES = {
  LOCAL_QUORUM: types.consistencies.localQuorum,
  QUORUM: types.consistencies.quorum,
  EACH_QUORUM: types.consistencies.eachQuorum,
  ALL: types.consistencies.all,
  LOCAL_ONE: types.consistencies.localOne,
  ONE: types.consistencies.one,
} as const;

export interface CassandraOptions {
  /** host:port of some nodes; the driver finds the others */
  contactPoints: readonly string[];
  localDataCenter: string;
  keyspace: string;
  consistency: keyof typeof CONSISTENCIES;
  username?: string | undefined;
  password?: string | undefined;
  /** Null: the connection is not encrypted */
  tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername'> | null;
  /** Of one request to one node */
  timeoutMs: number;
  /** A statement without an answer is sent to a second node after this time; 0: never */
  speculateAfterMs: number;
  /** How long the first connection is tried; after it the driver reconnects by itself, for ever */
  patienceMs: number;
}

const RETRY_EVERY_MS = 500;

const { responseErrorCodes: codes } = types;
/** What nodes answer when too few of them are there, or have time, for what was asked. */
const AWAY = new Set<number>([
  ...[codes.unavailableException, codes.overloaded, codes.isBootstrapping, codes.truncateError, codes.serverError],
  ...[codes.readTimeout, codes.writeTimeout, codes.readFailure, codes.writeFailure],
]);

/** No node, or none that lets us in: a keyspace or a login that is missing too keeps the usage from who asks for it. */
export class CassandraUnreachable extends Error {
  override readonly name = 'CassandraUnreachable';
}

recogniseOutages('cassandra', (error) => {
  if (error instanceof CassandraUnreachable) return true;
  if (error instanceof errors.ResponseError) return AWAY.has(error.code);
  return (
    error instanceof errors.NoHostAvailableError ||
    error instanceof errors.OperationTimedOutError ||
    error instanceof errors.BusyConnectionError
  );
});

/** @throws Error when no node answers in `patienceMs`, or at once when that would change nothing */
export async function connectCassandra(options: CassandraOptions): Promise<Client> {
  const attempts = Math.max(1, Math.ceil(options.patienceMs / RETRY_EVERY_MS));
  const patience = wrap(
    timeout(options.patienceMs, TimeoutStrategy.Aggressive),
    retry(
      handleWhen((error) => !isFinal(error)),
      { maxAttempts: attempts, backoff: new ConstantBackoff(RETRY_EVERY_MS) },
    ),
  );
  let last: unknown;
  const attempt = (signal: AbortSignal) =>
    open(driverOptions(options), signal).catch((error: unknown) => {
      last = error;
      throw error;
    });
  return patience
    .execute(({ signal }) => attempt(signal))
    .catch((error: unknown) => {
      // That the time is up says less than what was wrong all the while.
      const cause = last ?? error;
      throw new CassandraUnreachable(`No connection to Cassandra at ${options.contactPoints.join(', ')}: ${reason(cause)}`, { cause });
    });
}

/** A client that could not connect is of no use: the next attempt needs another one. */
async function open(options: ClientOptions, signal: AbortSignal): Promise<Client> {
  const client = new Client(options);
  try {
    await client.connect();
    signal.throwIfAborted();
    return client;
  } catch (error) {
    await client.shutdown().catch(() => undefined);
    throw error;
  }
}

function driverOptions(options: CassandraOptions): ClientOptions {
  const { username, password, tls, speculateAfterMs } = options;
  return {
    contactPoints: [...options.contactPoints],
    localDataCenter: options.localDataCenter,
    ...(options.keyspace && { keyspace: options.keyspace }),
    ...(username !== undefined && { authProvider: new auth.PlainTextAuthProvider(username, password ?? '') }),
    // The driver's own default is to accept any certificate.
    ...(tls && { sslOptions: { ...tls, rejectUnauthorized: true } }),
    policies: {
      speculativeExecution:
        speculateAfterMs > 0
          ? new policies.speculativeExecution.ConstantSpeculativeExecutionPolicy(speculateAfterMs, 1)
          : new policies.speculativeExecution.NoSpeculativeExecutionPolicy(),
    },
    // Every statement of this adapter may be sent twice, so the driver may retry it and ask a second node; the few that may not say so.
    queryOptions: { prepare: true, isIdempotent: true, consistency: CONSISTENCIES[options.consistency] },
    socketOptions: { connectTimeout: options.timeoutMs, readTimeout: options.timeoutMs },
    encoding: { useBigIntAsLong: true },
  };
}

/** What no waiting mends: a wrong login, keyspace or certificate. */
function isFinal(error: unknown): boolean {
  return causesOf(error).some(
    ({ name, message }) => name === 'AuthenticationError' || /Keyspace '.*' does not exist|certificate/.test(message),
  );
}

function reason(error: unknown): string {
  const causes = causesOf(error);
  if (causes.some(({ message }) => /Keyspace '.*' does not exist/.test(message)))
    return 'the keyspace does not exist; run the setup command first';
  return [...new Set(causes.map(({ message }) => message))].slice(-2).join('; ');
}

/** The driver keeps what each node answered in `innerErrors`. */
function causesOf(error: unknown): Error[] {
  if (!(error instanceof Error)) return [];
  const inner = 'innerErrors' in error ? Object.values((error.innerErrors ?? {}) as Record<string, unknown>) : [];
  return [error, ...inner.flatMap(causesOf)];
}

/** Runs `work` on all items, at most `lanes` at a time. @throws the first error, after which no further item is begun */
export async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const item = items[next++] as T;
      await work(item).catch((error: unknown) => {
        next = items.length;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
}
