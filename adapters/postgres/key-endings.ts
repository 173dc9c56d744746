import type { SecretEnding } from '../../api/auth/ports.js';
import type { Connection } from './pool.js';

/** Endings are announced here, one to a notification: `{hash} {epoch ms}`. */
export const KEY_ENDINGS_CHANNEL = 'leaky_key_endings';

/** How long an ending is kept after its instant; longer than any token made from the secret may live. */
const KEPT = '1 day';

/**
 * Records and announces endings inside the transaction that causes them: PostgreSQL delivers the announcement if and only if
 * the change commits, so a crash in between cannot leave a revoked key in a cache.
 */
export async function recordEndings(connection: Connection, endings: readonly SecretEnding[]): Promise<void> {
  if (endings.length === 0) return;
  const hashes = endings.map((ending) => ending.secretHash);
  const instants = endings.map((ending) => ending.validUntil);
  await connection.query(
    `WITH recorded AS (
       INSERT INTO api_key_endings (secret_hash, valid_until)
       SELECT decode(hash, 'hex'), at FROM unnest($1::text[], $2::timestamptz[]) AS ending (hash, at)
       ON CONFLICT (secret_hash) DO UPDATE SET valid_until = least(api_key_endings.valid_until, excluded.valid_until)
       RETURNING secret_hash, valid_until)
     SELECT pg_notify($3, encode(secret_hash, 'hex') || ' ' || (extract(epoch FROM valid_until) * 1000)::bigint) FROM recorded`,
    [hashes, instants, KEY_ENDINGS_CHANNEL],
  );
  await connection.query('DELETE FROM api_key_endings WHERE valid_until < now() - $1::interval', [KEPT]);
}
