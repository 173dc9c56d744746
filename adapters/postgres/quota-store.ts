import { v7 } from 'uuid';
import type { PoolSnapshot, QuotaPolicyView, QuotaStore, TotalSet } from '../../api/tokens/ports.js';
import { PROVIDERS } from '../../contracts/providers.js';
import type { PoolKey } from '../../contracts/temporal.js';
import { SYSTEM } from '../../domain/accounts/actor.js';
import { viewOf } from '../../domain/pool.js';
import { nextReset } from '../../domain/quota-window.js';
import { changeTo, grantOnTerms } from '../../domain/quota/rules.js';
import { termsOf, type TierTerms } from '../../domain/tiers.js';
import { inNameOf, logChange } from './admin-log.js';
import type { Connection, Database } from './pool.js';
import { findPolicies, findPolicy, findPool, lockTerms, openPool, resetWindowOf, type StoredPool } from './pools.js';

/** Balances for readers, totals and tiers for administrators. Each change is one transaction with its ledger entry. */
export function createQuotaStore(db: Database): QuotaStore {
  return {
    async read(key) {
      const pool = await findPool(db, key);
      return pool && snapshotOf(pool);
    },
    async ownerExists(ownerKind, ownerId) {
      const { rowCount } = await db.query(`SELECT 1 FROM ${ownerKind === 'user' ? 'users' : 'orgs'} WHERE id = $1`, [ownerId]);
      return rowCount === 1;
    },
    policyOf: (ownerKind, ownerId) => findPolicy(db, ownerKind, ownerId),
    policiesOf: (ownerKind, ownerIds) => findPolicies(db, ownerKind, ownerIds),
    setPolicy: (ownerKind, ownerId, policy, by = SYSTEM) =>
      inNameOf(db, by, (connection) => setPolicy(connection, ownerKind, ownerId, policy)),
    setTotal: (key, totalTokens, by = SYSTEM) => inNameOf(db, by, (connection) => setTotal(connection, key, totalTokens)),
  };
}

/** A reset that is due but not written yet counts as done, so the reset time shown always lies ahead. */
function snapshotOf(pool: StoredPool): PoolSnapshot {
  const resetAt = pool.resetAt <= pool.readAt ? nextReset(pool.readAt, pool.zone) : pool.resetAt;
  return { ...viewOf(pool, pool.readAt), resetAt, updatedAt: pool.updatedAt };
}

async function setPolicy(db: Connection, ownerKind: PoolKey['ownerKind'], ownerId: string, policy: QuotaPolicyView): Promise<void> {
  await lockTerms(db, { ownerKind, ownerId }, 'change');
  await db.query(
    `INSERT INTO quota_policies (owner_kind, owner_id, tier, custom, zone) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (owner_kind, owner_id) DO UPDATE SET tier = $3, custom = $4, zone = $5, updated_at = now()`,
    [ownerKind, ownerId, policy.tier, policy.custom && JSON.stringify(policy.custom), policy.zone],
  );
  const terms = termsOf(policy.tier, policy.custom);
  // Alphabetical, as every writer locks pools in the order of their keys.
  for (const provider of [...PROVIDERS].sort()) {
    const key = { ownerKind, ownerId, provider };
    if (terms.allowance > 0) await openPool(db, key);
    const pool = await lockedPool(db, key);
    if (pool) await setTerms(db, key, pool, { ...terms, zone: policy.zone });
  }
}

async function setTerms(db: Connection, key: PoolKey, pool: StoredPool, terms: TierTerms & { zone: string }): Promise<void> {
  const grant = grantOnTerms(pool, terms.allowance);
  await db.query(
    `UPDATE pools SET allowance = $4, window_allowance = $8, cap = $5, zone = $6, reset_at = coalesce($7, reset_at),
                      allowance_remaining = allowance_remaining + $9, granted_total = granted_total + $9, updated_at = now()
      WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
    [
      ...keyValues(key),
      terms.allowance,
      terms.cap,
      terms.zone,
      // Another zone moves the end of the running window, and ends none.
      terms.zone === pool.zone ? null : nextReset(pool.readAt, terms.zone),
      Math.max(pool.windowAllowance, terms.allowance),
      grant,
    ],
  );
  if (grant > 0) await enter(db, key, 'grant', grant, 0);
}

async function setTotal(db: Connection, key: PoolKey, totalTokens: number): Promise<TotalSet> {
  const created = (await findPool(db, key)) === null;
  if (created) await openPool(db, key);
  const pool = await lockedPool(db, key);
  if (!pool) throw new Error('The pool vanished inside its transaction');
  const change = changeTo(pool, totalTokens);
  if (!change.ok) return change;
  const { fromPurchased, fromAllowance } = change;
  const sum = fromPurchased + fromAllowance;
  if (sum !== 0) {
    await db.query(
      `UPDATE pools SET purchased_remaining = purchased_remaining + $4, allowance_remaining = allowance_remaining + $5, updated_at = now(),
                        granted_total = granted_total + greatest($4 + $5, 0), expired_total = expired_total - least($4 + $5, 0)
        WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3`,
      [...keyValues(key), fromPurchased, fromAllowance],
    );
    await enter(db, key, sum > 0 ? 'grant' : 'expire', Math.abs(fromAllowance), Math.abs(fromPurchased));
    await logChange(db, {
      action: 'total.changed',
      targetKind: key.ownerKind,
      targetId: key.ownerId,
      before: { provider: key.provider, totalTokens: created ? null : viewOf(pool, pool.readAt).totalTokens },
      after: { provider: key.provider, totalTokens },
    });
  }
  const after = await findPool(db, key);
  return { ok: true, created, snapshot: snapshotOf(after ?? pool) };
}

/** The pool, locked, with a window that is over ended first. */
async function lockedPool(db: Connection, key: PoolKey): Promise<StoredPool | null> {
  await db.query('SELECT 1 FROM pools WHERE owner_kind = $1 AND owner_id = $2 AND provider = $3 FOR UPDATE', keyValues(key));
  await resetWindowOf(db, key);
  return findPool(db, key);
}

async function enter(db: Connection, key: PoolKey, kind: 'grant' | 'expire', allowance: number, purchased: number): Promise<void> {
  await db.query(
    `INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens, purchased_tokens)
     VALUES ($4, $5, $1, $2, $3, $6, $7)`,
    [...keyValues(key), v7(), kind, allowance, purchased],
  );
}

const keyValues = (key: PoolKey): [string, string, string] => [key.ownerKind, key.ownerId, key.provider];
