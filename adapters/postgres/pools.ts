import { v5 } from 'uuid';
import type { PoolKey } from '../../contracts/temporal.js';
import type { PoolBalance } from '../../domain/pool.js';
import { nextReset } from '../../domain/quota-window.js';
import { roomOf } from '../../domain/quota/rules.js';
import { termsOf, type Tier, type TierTerms } from '../../domain/tiers.js';
import { inTransaction, type Connection, type Database } from './pool.js';

/** Namespace of the ids that ledger entries of window resets and grants get from their pool and time. */
const LEDGER_NAMESPACE = '5f0f6f0e-6a0c-4c43-9d43-6b0a9c1c6d55';

export interface StoredPool extends PoolBalance {
  zone: string;
  updatedAt: Date;
  /** The database's clock at the read: it alone decides whether a window is over */
  readAt: Date;
}

export interface QuotaPolicy {
  tier: Tier;
  zone: string;
  custom: TierTerms | null;
}

export const DEFAULT_POLICY: QuotaPolicy = { tier: 'STANDARD', zone: 'UTC', custom: null };

type Queryable = Pick<Database | Connection, 'query'>;

export async function findPool(db: Queryable, key: PoolKey): Promise<StoredPool | null> {
  const { rows } = await db.query<StoredPool>({
    name: 'find_pool',
    text: `SELECT allowance_remaining AS "allowanceRemaining", purchased_remaining AS "purchasedRemaining", reserved, pending,
                  consumed_total AS "consumedTotal", purchased_total AS "purchasedTotal", granted_total AS "grantedTotal", allowance,
                  greatest(window_allowance, allowance) AS "windowAllowance", window_grant(p) AS "nextGrant", cap, zone,
                  reset_at AS "resetAt", window_no AS "windowNo", updated_at AS "updatedAt", clock_timestamp() AS "readAt"
             FROM pools p WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
    values: [key.ownerKind, key.ownerId, key.provider],
  });
  return rows[0] ?? null;
}

/** One for each owner, in their order. */
export async function findPolicies(db: Queryable, ownerKind: PoolKey['ownerKind'], ownerIds: readonly string[]): Promise<QuotaPolicy[]> {
  const { rows } = await db.query<QuotaPolicy & { ownerId: string }>({
    name: 'find_policies',
    text: 'SELECT owner_id AS "ownerId", tier, zone, custom FROM quota_policies WHERE owner_kind = $1 AND owner_id = ANY($2::uuid[])',
    values: [ownerKind, ownerIds],
  });
  const found = new Map(rows.map(({ ownerId, ...policy }) => [ownerId, policy]));
  return ownerIds.map((id) => found.get(id) ?? DEFAULT_POLICY);
}

export async function findPolicy(db: Queryable, ownerKind: PoolKey['ownerKind'], ownerId: string): Promise<QuotaPolicy> {
  const [policy = DEFAULT_POLICY] = await findPolicies(db, ownerKind, [ownerId]);
  return policy;
}

/** Taken before any pool, by whoever opens one (shared) or changes its owner's terms: a pool must not open with terms that are being replaced. */
export async function lockTerms(db: Connection, { ownerKind, ownerId }: Omit<PoolKey, 'provider'>, mode: 'read' | 'change'): Promise<Date> {
  const { rows } = await db.query<{ now: Date }>(
    `SELECT ${mode === 'read' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock'}(hashtextextended($1, 0)), clock_timestamp() AS now`,
    [`terms:${ownerKind}:${ownerId}`],
  );
  if (!rows[0]) throw new Error('A lock answered nothing');
  return rows[0].now;
}

/** Creates the pool with its owner's terms when it does not exist; the first window's allowance is granted with it. */
export async function ensurePool(db: Database, key: PoolKey): Promise<void> {
  if (!(await findPool(db, key))) await inTransaction(db, (connection) => openPool(connection, key));
}

export async function openPool(db: Connection, key: PoolKey): Promise<void> {
  const now = await lockTerms(db, key, 'read');
  const policy = await findPolicy(db, key.ownerKind, key.ownerId);
  const { allowance, cap } = termsOf(policy.tier, policy.custom);
  await db.query({
    name: 'open_pool',
    text: `WITH made AS (
             INSERT INTO pools (owner_kind, owner_id, provider, allowance, window_allowance, allowance_remaining, granted_total, cap, zone, reset_at)
             VALUES ($1, $2, $3, $4, $4, $4, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1)
           INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens)
           SELECT $8, 'grant', $1, $2, $3, $4 FROM made WHERE $4::bigint > 0`,
    values: [key.ownerKind, key.ownerId, key.provider, allowance, cap, policy.zone, nextReset(now, policy.zone), ledgerRef(key, 'opened')],
  });
}

/** Ends the pool's window when it is over: grants the next allowance, once however many ask. */
export async function resetWindowOf(db: Queryable, key: PoolKey): Promise<void> {
  const pool = await findPool(db, key);
  if (!pool || pool.resetAt > pool.readAt) return;
  await db.query('SELECT reset_window($1, $2, $3, $4, $5, $6)', [
    key.ownerKind,
    key.ownerId,
    key.provider,
    pool.resetAt,
    nextReset(pool.readAt, pool.zone),
    ledgerRef(key, `window ${pool.windowNo + 1}`),
  ]);
}

/** The cap and how much of it bought tokens take; null without a cap. A pool that does not exist yet has all of its tier's. */
export async function purchaseRoom(db: Queryable, key: PoolKey): Promise<{ cap: number; used: number } | null> {
  const { rows } = await db.query<Parameters<typeof roomOf>[0]>({
    name: 'purchase_room',
    text: `SELECT cap, purchased_total AS "purchasedTotal", granted_total AS "grantedTotal", pending,
                  CASE WHEN cap IS NULL THEN 0 ELSE bought_tokens(p) END AS bought
             FROM pools p WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
    values: [key.ownerKind, key.ownerId, key.provider],
  });
  if (rows[0]) return roomOf(rows[0]);
  const policy = await findPolicy(db, key.ownerKind, key.ownerId);
  const { cap } = termsOf(policy.tier, policy.custom);
  return cap === null ? null : { cap, used: 0 };
}

export const ledgerRef = (key: PoolKey, what: string): string =>
  v5(`${key.ownerKind}:${key.ownerId}:${key.provider}:${what}`, LEDGER_NAMESPACE);
