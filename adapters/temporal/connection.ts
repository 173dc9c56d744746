import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { retry, handleAll, ConstantBackoff, timeout, TimeoutStrategy, wrap } from 'cockatiel';

export interface Temporal {
  connection: NativeConnection;
  /** On the same connection as the workers: the server then hands a started workflow's first task over at once (eager start). */
  client: Client;
  /** host:port it is connected to */
  address: string;
  namespace: string;
  close(): Promise<void>;
}

export interface TemporalOptions {
  /** host:port */
  address: string;
  namespace: string;
  /** How long the first connection is tried; the SDK itself would give up at the first failure */
  patienceMs: number;
}

const RETRY_EVERY_MS = 100;

/** @throws Error when no server answers in `patienceMs` */
export async function connectTemporal(options: TemporalOptions, signal?: AbortSignal): Promise<Temporal> {
  const attempts = Math.max(1, Math.ceil(options.patienceMs / RETRY_EVERY_MS));
  const patience = wrap(
    timeout(options.patienceMs, TimeoutStrategy.Aggressive),
    retry(handleAll, { maxAttempts: attempts, backoff: new ConstantBackoff(RETRY_EVERY_MS) }),
  );
  const connection = await patience
    .execute(() => NativeConnection.connect({ address: options.address }), signal)
    .catch((error: unknown) => {
      throw new Error(`No Temporal server answers at ${options.address} (${reason(error)})`, { cause: error });
    });
  const client = new Client({ connection, namespace: options.namespace });
  return { connection, client, address: options.address, namespace: options.namespace, close: () => connection.close() };
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));
