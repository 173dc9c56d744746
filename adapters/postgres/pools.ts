import { v5 } from 'uuid';
import type { PoolKey } from '../../contracts/temporal.js';
import { takenOf, type PoolBalance } from '../../domain/pool.js';
import { nextReset } from '../../domain/quota-window.js';
import { termsOf, type Tier, type TierTerms } from '../../domain/tiers.js';
import type { Connection, Database } from './pool.js';

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
  const { rows } = await db.query<
    Record<string, number> & { cap: number | null; zone: string; reset_at: Date; updated_at: Date; read_at: Date }
  >({
    name: 'find_pool',
    text: `SELECT allowance_remaining, purchased_remaining, reserved, pending, consumed_total, allowance, cap, zone, reset_at, updated_at,
                  now() AS read_at FROM pools WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
    values: [key.ownerKind, key.ownerId, key.provider],
  });
  const row = rows[0];
  if (!row) return null;
  return {
    allowanceRemaining: row['allowance_remaining'] ?? 0,
    purchasedRemaining: row['purchased_remaining'] ?? 0,
    reserved: row['reserved'] ?? 0,
    pending: row['pending'] ?? 0,
    consumedTotal: row['consumed_total'] ?? 0,
    allowance: row['allowance'] ?? 0,
    cap: row.cap,
    resetAt: row.reset_at,
    zone: row.zone,
    updatedAt: row.updated_at,
    readAt: row.read_at,
  };
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

/** Creates the pool with its owner's terms when it does not exist; the first window's allowance is granted with it. */
export async function ensurePool(db: Queryable, key: PoolKey): Promise<void> {
  const policy = await findPolicy(db, key.ownerKind, key.ownerId);
  const terms = termsOf(policy.tier, policy.custom);
  const allowance = Math.min(terms.allowance, terms.cap ?? terms.allowance);
  await db.query({
    name: 'ensure_pool',
    text: `WITH made AS (
             INSERT INTO pools (owner_kind, owner_id, provider, allowance, cap, zone, reset_at, allowance_remaining, granted_total)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING RETURNING 1)
           INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens)
           SELECT $9, 'grant', $1, $2, $3, $8 FROM made WHERE $8::bigint > 0`,
    values: [
      key.ownerKind,
      key.ownerId,
      key.provider,
      terms.allowance,
      terms.cap,
      policy.zone,
      nextReset(new Date(), policy.zone),
      allowance,
      ledgerRef(key, 'opened'),
    ],
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
    ledgerRef(key, pool.resetAt.toISOString()),
  ]);
}

/** The cap and how much of it is taken; null without a cap. A pool that does not exist yet begins with its tier's allowance. */
export async function roomOf(db: Queryable, key: PoolKey): Promise<{ cap: number; used: number } | null> {
  const pool = await findPool(db, key);
  if (pool) return pool.cap === null ? null : { cap: pool.cap, used: takenOf(pool, pool.readAt) };
  const policy = await findPolicy(db, key.ownerKind, key.ownerId);
  const { cap, allowance } = termsOf(policy.tier, policy.custom);
  return cap === null ? null : { cap, used: Math.min(allowance, cap) };
}

export const ledgerRef = (key: PoolKey, what: string): string =>
  v5(`${key.ownerKind}:${key.ownerId}:${key.provider}:${what}`, LEDGER_NAMESPACE);
