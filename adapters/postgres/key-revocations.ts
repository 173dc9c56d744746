import type pg from 'pg';
import type { KeyEnding, KeyRevocations } from '../../api/http/key-revocations.js';
import type { Logger } from '../../telemetry/log.js';
import { createEndingListeners } from '../memory/ending-listeners.js';
import { PostgresClient } from './client.js';

export interface PostgresKeyRevocations extends KeyRevocations {
  close(): Promise<void>;
}

/** Where the triggers of migrations/0006_authority.sql announce */
const CHANNEL = 'leaky_key_endings';
/** How the connection is seen in pg_stat_activity. */
export const LISTENER_NAME = 'leaky-key-revocations';
/** A listener that is silent for longer than this counts as lost; together with one round it stays below a second. */
const HEARTBEAT_MS = 400;
const RECONNECT_MS = 500;
/** Endings older than this concern no token that still lives. */
const CATCH_UP = '1 day';

/**
 * Endings for separate processes, by LISTEN on a connection of its own. `pg_notify` is part of the transaction that ends the
 * secret (by a trigger), so `publish` only tells this process, ahead of the round trip.
 *
 * CONNECTING → (listens, has read the recent endings) → LIVE → (error, end, or a heartbeat unanswered) → LOST → CONNECTING.
 * On LOST every subscriber is told that news may be missing, and `live` is false until LIVE.
 */
export async function createPostgresKeyRevocations(url: string, log: Logger): Promise<PostgresKeyRevocations> {
  const listeners = createEndingListeners();
  let client: pg.Client | null = null;
  let live = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const connect = async (): Promise<void> => {
    const fresh = new PostgresClient({
      connectionString: url,
      application_name: LISTENER_NAME,
      connectionTimeoutMillis: 2_000,
      query_timeout: HEARTBEAT_MS * 5,
      keepAlive: true,
    });
    fresh.on('notification', ({ payload }) => {
      const [secretHash, validUntil] = (payload ?? '').split(' ');
      if (secretHash && validUntil) listeners.ended({ secretHash, validUntil: Number(validUntil) });
    });
    fresh.on('error', (error) => lose(fresh, error));
    fresh.on('end', () => lose(fresh, new Error('the connection has ended')));
    try {
      await fresh.connect();
      await fresh.query(`LISTEN ${CHANNEL}`);
      const { rows } = await fresh.query<KeyEnding>(
        `SELECT encode(secret_hash, 'hex') AS "secretHash", (extract(epoch FROM valid_until) * 1000)::bigint AS "validUntil"
           FROM api_key_endings WHERE valid_until > now() - $1::interval`,
        [CATCH_UP],
      );
      rows.forEach(listeners.ended);
    } catch (error) {
      discard(fresh);
      throw error;
    }
    if (closed) return discard(fresh);
    client = fresh;
    live = true;
    beat(fresh);
  };

  const beat = (current: pg.Client): void => {
    timer = setTimeout(() => {
      const late = setTimeout(() => lose(current, new Error('the heartbeat was not answered')), HEARTBEAT_MS);
      current
        .query('SELECT 1')
        .then(() => client === current && beat(current))
        .catch((error: unknown) => lose(current, error))
        .finally(() => clearTimeout(late));
    }, HEARTBEAT_MS);
    timer.unref();
  };

  const lose = (lost: pg.Client, error: unknown): void => {
    if (client !== lost) return;
    client = null;
    live = false;
    clearTimeout(timer);
    discard(lost);
    listeners.interrupted();
    if (closed) return;
    log.warn({ err: error }, 'revocations of API keys do not arrive; keys are cached for less than a second until they do');
    reconnect();
  };

  const reconnect = (): void => {
    timer = setTimeout(() => {
      connect().then(
        () => log.info('revocations of API keys arrive again'),
        () => !closed && reconnect(),
      );
    }, RECONNECT_MS);
    timer.unref();
  };

  await connect();
  return {
    get live() {
      return live;
    },
    publish: async (endings) => endings.forEach(listeners.ended),
    subscribe: listeners.subscribe,
    async close() {
      closed = true;
      clearTimeout(timer);
      const last = client;
      client = null;
      live = false;
      await last?.end();
    },
  };
}

/** Ends a connection that may no longer answer; its own errors no longer matter to anyone. */
function discard(client: pg.Client): void {
  client.removeAllListeners('error').removeAllListeners('end').removeAllListeners('notification');
  client.on('error', () => undefined);
  client.end().catch(() => undefined);
}
