import type pg from 'pg';
import type { KeyEnding, KeyRevocations, UserEnding } from '../../api/http/key-revocations.js';
import type { Logger } from '../../telemetry/log.js';
import { createEndingListeners, type EndingListeners } from '../memory/ending-listeners.js';
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
 * What has ended, by LISTEN on a connection of its own. Triggers announce it as part of the transaction that ends it, whoever makes
 * that; so `publish` only tells this process, ahead of the round trip.
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
      tell(listeners, payload ?? '');
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
      const users = await fresh.query<UserEnding>(
        `SELECT user_id AS "userId", floor(extract(epoch FROM valid_after) * 1000)::bigint AS "validAfter"
           FROM user_endings WHERE recorded_at > now() - $1::interval ORDER BY recorded_at`,
        [CATCH_UP],
      );
      users.rows.forEach(listeners.userEnded);
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
    log.warn(
      { err: error },
      'news of ended keys, accounts and memberships do not arrive; nothing is remembered for a second until they do',
    );
    reconnect();
  };

  const reconnect = (): void => {
    timer = setTimeout(() => {
      connect().then(
        () => log.info('news of ended keys, accounts and memberships arrive again'),
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
    publishUser: async (ending) => listeners.userEnded(ending),
    tokenEnded: listeners.tokenEnded,
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

/** `{what} {epoch ms}`, see migrations/0006_authority.sql. What is not known comes from a newer process and is not meant for this one. */
function tell(listeners: EndingListeners, payload: string): void {
  const [what = '', ms = ''] = payload.split(' ');
  const [kind, userId] = what.split(':');
  if (userId === undefined) listeners.ended({ secretHash: what, validUntil: Number(ms) });
  else if (kind === 'user') listeners.userEnded({ userId, validAfter: Number(ms) });
  else if (kind === 'memberships') listeners.membershipChanged({ userId });
}

/** Ends a connection that may no longer answer; its own errors no longer matter to anyone. */
function discard(client: pg.Client): void {
  client.removeAllListeners('error').removeAllListeners('end').removeAllListeners('notification');
  client.on('error', () => undefined);
  client.end().catch(() => undefined);
}
