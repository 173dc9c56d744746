import type { AccountBounds, ApiKey, ApiKeys, KeyHolder, SecretEnding } from '../../api/auth/ports.js';
import { inNameOf } from './admin-log.js';
import { limitReached, lockUser } from './bounds.js';
import type { Database } from './pool.js';
import { violated } from './violations.js';

const COLUMNS = `k.id, k.user_id AS "userId", k.org_id AS "orgId", k.name, k.tier, k.created_at AS "createdAt",
  k.expires_at AS "expiresAt", k.last_used_at AS "lastUsedAt"`;
const bytes = (hex: string) => Buffer.from(hex, 'hex');

/** Secrets of a key that still worked: the current one and, during a grace, the one before. */
const SECRETS = `encode(secret_hash, 'hex') AS current,
  CASE WHEN previous_valid_until > now() THEN encode(previous_hash, 'hex') END AS previous`;
interface Secrets {
  current: string;
  previous: string | null;
}
export const endingsOf = ({ current, previous }: Secrets, currentEnds: Date): SecretEnding[] => [
  { secretHash: current, validUntil: currentEnds },
  ...(previous === null ? [] : [{ secretHash: previous, validUntil: new Date() }]),
];

export function createApiKeys(pool: Database, bounds: AccountBounds): ApiKeys {
  return {
    async create(key, by) {
      try {
        return await inNameOf(pool, by, async (connection) => {
          if (!(await lockUser(connection, key.userId))) return 'NO_SUCH_USER';
          const reached = await limitReached(connection, 'api-keys', bounds.keysPerUser, 'api_keys WHERE user_id = $1', [key.userId]);
          if (reached) return reached;
          const { rows } = await connection.query<ApiKey>(
            `INSERT INTO api_keys AS k (id, user_id, org_id, name, tier, secret_hash, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
           RETURNING ${COLUMNS}`,
            [key.id, key.userId, key.orgId, key.name, key.tier, bytes(key.secretHash), key.expiresAt],
          );
          return rows[0] as ApiKey;
        });
      } catch (error) {
        if (violated(error, 'api_keys_org_id_user_id_fkey')) return 'NOT_A_MEMBER';
        throw error;
      }
    },

    async byId(id) {
      const { rows } = await pool.query<ApiKey>(`SELECT ${COLUMNS} FROM api_keys k WHERE k.id = $1`, [id]);
      return rows[0] ?? null;
    },

    async list(userId, { limit, after }) {
      const { rows } = await pool.query<ApiKey>(
        `SELECT ${COLUMNS} FROM api_keys k WHERE k.user_id = $1 AND ($2::uuid IS NULL OR k.id < $2) ORDER BY k.id DESC LIMIT $3`,
        [userId, after, limit],
      );
      return rows;
    },

    // That secrets have ended is recorded and announced by triggers (migrations/0006_authority.sql).
    remove: (userId, id, by) =>
      inNameOf(pool, by, async (connection) => {
        const { rows } = await connection.query<Secrets>(`DELETE FROM api_keys WHERE id = $1 AND user_id = $2 RETURNING ${SECRETS}`, [
          id,
          userId,
        ]);
        return rows[0] ? endingsOf(rows[0], new Date()) : null;
      }),

    rotate: (id, secretHash, graceEnds, by) =>
      inNameOf(pool, by, async (connection) => {
        const { rows } = await connection.query<Secrets>(`SELECT ${SECRETS} FROM api_keys WHERE id = $1 FOR UPDATE`, [id]);
        if (!rows[0]) return null;
        await connection.query(
          'UPDATE api_keys SET previous_hash = secret_hash, previous_valid_until = $3, secret_hash = $2 WHERE id = $1',
          [id, bytes(secretHash), graceEnds],
        );
        return endingsOf(rows[0], graceEnds);
      }),

    async holder(secretHash) {
      const { rows } = await pool.query<ApiKey & Omit<KeyHolder, 'key'>>(
        `SELECT ${COLUMNS}, u.username, u.tokens_valid_after AS "tokensValidAfter",
                ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles,
                least(k.expires_at, CASE WHEN k.previous_hash = $1 THEN k.previous_valid_until END) AS "validUntil"
           FROM api_keys k JOIN users u ON u.id = k.user_id AND u.disabled_at IS NULL
          WHERE (k.secret_hash = $1 OR (k.previous_hash = $1 AND k.previous_valid_until > now()))
            AND (k.expires_at IS NULL OR k.expires_at > now())`,
        [bytes(secretHash)],
      );
      const row = rows[0];
      if (!row) return null;
      const { username, roles, tokensValidAfter, validUntil, ...key } = row;
      return { key, username, roles, tokensValidAfter, validUntil };
    },

    async markUsed(uses) {
      await pool.query(
        `UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
           FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at) WHERE k.id = used.id`,
        [[...uses.keys()], [...uses.values()]],
      );
    },

    async endings(since) {
      const { rows } = await pool.query<SecretEnding>(
        `SELECT encode(secret_hash, 'hex') AS "secretHash", valid_until AS "validUntil" FROM api_key_endings WHERE valid_until > $1`,
        [since],
      );
      return rows;
    },
  };
}
