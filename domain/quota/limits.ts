/**
 * Bounds that keep every number of a pool below 2^53, where JSON and JavaScript still count exactly: whatever a write accepts,
 * every read of it answers. The ledger holds the same bound (CHECK `readable` of migration 0008).
 */

/** The largest allowance, cap or total that may be set */
export const LARGEST_AMOUNT = 1_000_000_000_000;

/** The most that a pool may be given in all its life: purchased + granted + pending */
export const LARGEST_SUM = Number.MAX_SAFE_INTEGER;

/** Where purchases and totals are refused. What lies above is for allowances, as nobody can refuse a reset: 4,500 of the largest. */
export const LARGEST_SUM_BY_REQUEST = 2 ** 52;

/** What a pool was given so far */
export interface Given {
  purchasedTotal: number;
  grantedTotal: number;
  pending: number;
}

export const sumOf = (pool: Given): number => pool.purchasedTotal + pool.grantedTotal + pool.pending;

/** What may be granted of `wanted`: all of it, except at the end of all numbers. */
export const grantable = (pool: Given, wanted: number): number => Math.max(0, Math.min(wanted, LARGEST_SUM - sumOf(pool)));
