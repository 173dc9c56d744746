import { Client, isGrpcServiceError } from '@temporalio/client';
import type { DataConverter } from '@temporalio/common';
import { NativeConnection, type NativeConnectionOptions, type TLSConfig } from '@temporalio/worker';
import { recogniseOutages } from '../../platform/outages.js';
import { measuredStarts } from './measured-starts.js';
import { tracedStarts } from './tracing.js';
import { retry, handleAll, ConstantBackoff, timeout, TimeoutStrategy, wrap } from 'cockatiel';

export interface Temporal {
  connection: NativeConnection;
  /** On the same connection as the workers: the server then hands a started workflow's first task over at once (eager start). */
  client: Client;
  /** host:port it is connected to */
  address: string;
  namespace: string;
  /** For the workers: what they write must be readable for the client, and the other way round */
  dataConverter: DataConverter | undefined;
  close(): Promise<void>;
}

export interface TemporalOptions {
  /** host:port */
  address: string;
  namespace: string;
  /** null or absent: not encrypted. Empty: against the authorities that the SDK brings. PEM texts */
  tls?: { ca?: string; cert?: string; key?: string; servername?: string } | null;
  /** Sent as a bearer token with every call */
  apiKey?: string | undefined;
  dataConverter?: DataConverter | undefined;
  /** How long the first connection is tried; the SDK itself would give up at the first failure */
  patienceMs: number;
}

const RETRY_EVERY_MS = 100;

/** gRPC: cancelled by the transport, deadline exceeded, resource exhausted, aborted, unavailable. */
const AWAY = new Set([1, 4, 8, 10, 14]);

recogniseOutages('temporal', (error) => error.name === 'TransportError' || (isGrpcServiceError(error) && AWAY.has(error.code)));

/** @throws Error when no server answers in `patienceMs` */
export async function connectTemporal(options: TemporalOptions, signal?: AbortSignal): Promise<Temporal> {
  const attempts = Math.max(1, Math.ceil(options.patienceMs / RETRY_EVERY_MS));
  const patience = wrap(
    timeout(options.patienceMs, TimeoutStrategy.Aggressive),
    retry(handleAll, { maxAttempts: attempts, backoff: new ConstantBackoff(RETRY_EVERY_MS) }),
  );
  let last: unknown;
  const connect = () =>
    NativeConnection.connect(credentials(options)).catch((error: unknown) => {
      last = error;
      throw error;
    });
  const connection = await patience.execute(connect, signal).catch((error: unknown) => {
    // That the time was up says nothing; what went wrong before, a certificate perhaps, does.
    throw new Error(`No Temporal server answers at ${options.address} (${reason(last ?? error)})`, { cause: last ?? error });
  });
  const { address, namespace, dataConverter } = options;
  const interceptors = { workflow: [measuredStarts, tracedStarts] };
  const client = new Client({ connection, namespace, interceptors, ...(dataConverter && { dataConverter }) });
  return { connection, client, address, namespace, dataConverter, close: () => connection.close() };
}

function credentials({ address, tls, apiKey }: TemporalOptions): NativeConnectionOptions {
  return { address, ...(apiKey !== undefined && { apiKey }), tls: tls ? tlsConfig(tls) : false };
}

function tlsConfig({ ca, cert, key, servername }: NonNullable<TemporalOptions['tls']>): TLSConfig {
  return {
    ...(ca !== undefined && { serverRootCACertificate: Buffer.from(ca) }),
    ...(cert !== undefined && key !== undefined && { clientCertPair: { crt: Buffer.from(cert), key: Buffer.from(key) } }),
    ...(servername !== undefined && { serverNameOverride: servername }),
  };
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));
