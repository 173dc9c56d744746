import { grantable, LARGEST_SUM_BY_REQUEST, sumOf, type Given } from './limits.js';

/** The rules of docs/quota.md that need no lock. What must hold under concurrency is SQL: migrations 0002 and 0008. */

/**
 * What a change of the terms grants at once: the difference to the most that this window was granted. So a tier that is lowered
 * and raised again grants nothing twice, and a lowered one waits for the next window.
 * @param pool.windowAllowance the largest allowance that was in force in this window
 */
export const grantOnTerms = (pool: Given & { windowAllowance: number }, allowance: number): number =>
  grantable(pool, Math.max(0, allowance - pool.windowAllowance));

/** The smallest room that is worth a limit: one purchase of the largest size. */
const LARGEST_PURCHASE = 1_000_000;

/**
 * What may still be bought: the cap, and how much of it bought tokens take. Allowances take none of it. `used` exceeds the cap
 * after it was lowered, or an ADMIN gave more. Null: as much as anyone can order.
 * @param pool.bought purchased and left, held or not paid yet
 */
export function roomOf(pool: Given & { cap: number | null; bought: number }): { cap: number; used: number } | null {
  const countable = Math.max(0, LARGEST_SUM_BY_REQUEST - sumOf(pool));
  const free = pool.cap === null ? LARGEST_PURCHASE : pool.cap - pool.bought;
  if (countable < free) return { cap: pool.bought + countable, used: pool.bought };
  return pool.cap === null ? null : { cap: pool.cap, used: pool.bought };
}

export type TotalChange = { ok: true; fromPurchased: number; fromAllowance: number } | { ok: false; reason: 'IN_USE' | 'TOO_MUCH' };

/**
 * How an ADMIN's total is reached: what is added was bought by nobody but lasts as if it had been; what is taken back comes from
 * bought tokens first, then from the allowance. It may exceed the cap.
 */
export function changeTo(
  pool: Given & { allowanceRemaining: number; purchasedRemaining: number; reserved: number; consumedTotal: number },
  totalTokens: number,
): TotalChange {
  const { allowanceRemaining, purchasedRemaining, reserved, consumedTotal } = pool;
  const change = totalTokens - (allowanceRemaining + purchasedRemaining + reserved + consumedTotal);
  if (-change > purchasedRemaining + allowanceRemaining) return { ok: false, reason: 'IN_USE' };
  if (change > 0 && sumOf(pool) + change > LARGEST_SUM_BY_REQUEST) return { ok: false, reason: 'TOO_MUCH' };
  const fromPurchased = Math.max(change, -purchasedRemaining);
  return { ok: true, fromPurchased, fromAllowance: change - fromPurchased };
}
