/** A pool as stored. Tokens are integers; `pending` is bought but not captured yet. */
export interface PoolBalance {
  allowanceRemaining: number;
  purchasedRemaining: number;
  reserved: number;
  pending: number;
  consumedTotal: number;
  purchasedTotal: number;
  grantedTotal: number;
  allowance: number;
  /** The largest allowance that was in force in this window */
  windowAllowance: number;
  /** What the next window begins with, as the ledger's reset grants it */
  nextGrant: number;
  cap: number | null;
  resetAt: Date;
  /** Counts the windows that ended */
  windowNo: number;
}

export interface PoolView {
  totalTokens: number;
  remainingTokens: number;
  reservedTokens: number;
}

/**
 * The pool as a reader sees it at `now`: a window that has ended counts as reset although nobody has written it yet.
 * totalTokens = remaining + reserved + consumed so far, so total − remaining − reserved is what was spent.
 */
export function viewOf(
  pool: Pick<PoolBalance, 'allowanceRemaining' | 'purchasedRemaining' | 'reserved' | 'consumedTotal' | 'nextGrant' | 'resetAt'>,
  now: Date,
): PoolView {
  const allowance = pool.resetAt <= now ? pool.nextGrant : pool.allowanceRemaining;
  const remainingTokens = allowance + pool.purchasedRemaining;
  return { totalTokens: remainingTokens + pool.reserved + pool.consumedTotal, remainingTokens, reservedTokens: pool.reserved };
}
