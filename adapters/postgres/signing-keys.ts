import type { JWK } from 'jose';
import type { SigningKeyRecord, SigningKeys } from '../../api/auth/ports.js';
import { inNameOf } from './admin-log.js';
import type { Database } from './pool.js';

/** Any constant: processes that rotate take turns by it. */
const ROTATION_LOCK = 7_224_001;

export function createSigningKeys(pool: Database): SigningKeys {
  return {
    async load(retiredWithinSeconds) {
      const { rows } = await pool.query<Omit<SigningKeyRecord, 'privateJwk'> & { privateJwk: string | null }>(
        `SELECT kid, public_jwk AS "publicJwk", private_jwk AS "privateJwk", created_at AS "createdAt" FROM signing_keys
          WHERE retired_at IS NULL OR retired_at > now() - make_interval(secs => $1) ORDER BY retired_at DESC NULLS FIRST`,
        [retiredWithinSeconds],
      );
      const active = rows.find((row): row is SigningKeyRecord => row.privateJwk !== null) ?? null;
      return { active, publicJwks: rows.map((row): JWK => row.publicJwk) };
    },

    rotate: (make, by, olderThan) =>
      inNameOf(pool, by, async (connection) => {
        await connection.query('SELECT pg_advisory_xact_lock($1)', [ROTATION_LOCK]);
        if (olderThan) {
          const { rowCount } = await connection.query('SELECT 1 FROM signing_keys WHERE retired_at IS NULL AND created_at >= $1', [
            olderThan,
          ]);
          if (rowCount !== 0) return false;
        }
        const key = await make();
        await connection.query('UPDATE signing_keys SET retired_at = now(), private_jwk = NULL WHERE retired_at IS NULL');
        await connection.query('INSERT INTO signing_keys (kid, public_jwk, private_jwk) VALUES ($1, $2, $3)', [
          key.kid,
          key.publicJwk,
          key.privateJwk,
        ]);
        return true;
      }),

    async replacePrivate(kid, privateJwk) {
      await pool.query('UPDATE signing_keys SET private_jwk = $2 WHERE kid = $1 AND retired_at IS NULL', [kid, privateJwk]);
    },

    async purge(retiredForSeconds) {
      await pool.query('DELETE FROM signing_keys WHERE retired_at < now() - make_interval(secs => $1)', [retiredForSeconds]);
    },
  };
}
