/** A pool as stored. Tokens are integers; `pending` is bought but not captured yet. */
export interface PoolBalance {
  allowanceRemaining: number;
  purchasedRemaining: number;
  reserved: number;
  pending: number;
  consumedTotal: number;
  allowance: number;
  cap: number | null;
  resetAt: Date;
}

export interface PoolView {
  totalTokens: number;
  remainingTokens: number;
  reservedTokens: number;
}

/** What a reset grants: the allowance, as far as the cap has room beside what was bought. */
export function grantAtReset(pool: PoolBalance): number {
  if (pool.cap === null) return pool.allowance;
  return Math.min(pool.allowance, Math.max(0, pool.cap - pool.purchasedRemaining - pool.reserved - pool.pending));
}

/**
 * The pool as a reader sees it at `now`: a window that has ended counts as reset although nobody has written it yet.
 * totalTokens = remaining + reserved + consumed so far, so total − remaining − reserved is what was spent.
 */
export function viewOf(pool: PoolBalance, now: Date): PoolView {
  const allowance = pool.resetAt <= now ? grantAtReset(pool) : pool.allowanceRemaining;
  const remainingTokens = allowance + pool.purchasedRemaining;
  return { totalTokens: remainingTokens + pool.reserved + pool.consumedTotal, remainingTokens, reservedTokens: pool.reserved };
}

/** What counts against the cap: spendable, held, and bought but not captured yet. May exceed a cap that was lowered. */
export function takenOf(pool: PoolBalance, now: Date): number {
  return viewOf(pool, now).remainingTokens + pool.reserved + pool.pending;
}
