import { LARGEST_SUM_BY_REQUEST, grantable, sumOf } from './limits.js';
import { changeTo, grantOnTerms, roomOf } from './rules.js';

/**
 * A pool's whole life as pure functions: the reference that the SQL functions of the ledger are held to, step by step
 * (test/ledger/quota-rules.test.ts). Windows are counted; whoever calls says when one ends.
 */
export interface QuotaState {
  allowanceRemaining: number;
  purchasedRemaining: number;
  reserved: number;
  pending: number;
  purchasedTotal: number;
  grantedTotal: number;
  consumedTotal: number;
  expiredTotal: number;
  allowance: number;
  cap: number | null;
  windowAllowance: number;
  windowNo: number;
  /** In the order they were made */
  holds: readonly Hold[];
  /** Bought and not paid yet, in their order */
  orders: readonly number[];
}

/** Where held tokens came from: an allowance goes back only while its window lasts. */
export interface Hold {
  allowance: number;
  purchased: number;
  windowNo: number;
}

export interface Terms {
  allowance: number;
  cap: number | null;
}

export type Step =
  | { do: 'terms'; terms: Terms }
  | { do: 'reset' }
  | { do: 'hold'; tokens: number }
  /** The others end the oldest hold or order, and do nothing when there is none */
  | { do: 'settle'; charge: number }
  | { do: 'release' }
  | { do: 'order'; tokens: number }
  | { do: 'post' }
  | { do: 'void' }
  | { do: 'total'; tokens: number };

/** A pool begins with the allowance of the window in which it is opened. */
export function openPool({ allowance, cap }: Terms): QuotaState {
  const grantedTotal = allowance;
  const nothing = { purchasedRemaining: 0, reserved: 0, pending: 0, purchasedTotal: 0, consumedTotal: 0, expiredTotal: 0 };
  return {
    ...nothing,
    allowanceRemaining: allowance,
    grantedTotal,
    allowance,
    cap,
    windowAllowance: allowance,
    windowNo: 0,
    holds: [],
    orders: [],
  };
}

/** @returns null when the step is refused: nothing changes then */
export function take(pool: QuotaState, step: Step): QuotaState | null {
  switch (step.do) {
    case 'terms':
      return withTerms(pool, step.terms);
    case 'reset':
      return reset(pool);
    case 'hold':
      return hold(pool, step.tokens);
    case 'settle':
      return endHold(pool, step.charge);
    case 'release':
      return endHold(pool, 0);
    case 'order':
      return order(pool, step.tokens);
    case 'post':
    case 'void':
      return endOrder(pool, step.do === 'post');
    case 'total':
      return withTotal(pool, step.tokens);
  }
}

export const boughtTokens = (pool: QuotaState): number =>
  pool.purchasedRemaining + pool.pending + pool.holds.reduce((sum, { purchased }) => sum + purchased, 0);

export const purchaseRoom = (pool: QuotaState): ReturnType<typeof roomOf> => roomOf({ ...pool, bought: boughtTokens(pool) });

function withTerms(pool: QuotaState, { allowance, cap }: Terms): QuotaState {
  const grant = grantOnTerms(pool, allowance);
  return {
    ...pool,
    allowance,
    cap,
    windowAllowance: Math.max(pool.windowAllowance, allowance),
    allowanceRemaining: pool.allowanceRemaining + grant,
    grantedTotal: pool.grantedTotal + grant,
  };
}

function reset(pool: QuotaState): QuotaState {
  const grant = grantable(pool, pool.allowance);
  return {
    ...pool,
    allowanceRemaining: grant,
    grantedTotal: pool.grantedTotal + grant,
    expiredTotal: pool.expiredTotal + pool.allowanceRemaining,
    windowAllowance: pool.allowance,
    windowNo: pool.windowNo + 1,
  };
}

function hold(pool: QuotaState, tokens: number): QuotaState | null {
  if (tokens > pool.allowanceRemaining + pool.purchasedRemaining) return null;
  const allowance = Math.min(tokens, pool.allowanceRemaining);
  const purchased = tokens - allowance;
  return {
    ...pool,
    allowanceRemaining: pool.allowanceRemaining - allowance,
    purchasedRemaining: pool.purchasedRemaining - purchased,
    reserved: pool.reserved + tokens,
    holds: [...pool.holds, { allowance, purchased, windowNo: pool.windowNo }],
  };
}

function endHold(pool: QuotaState, charge: number): QuotaState {
  const [held, ...holds] = pool.holds;
  if (!held) return pool;
  const charged = Math.min(charge, held.allowance + held.purchased);
  const allowance = held.allowance - Math.min(charged, held.allowance);
  const purchased = held.allowance + held.purchased - charged - allowance;
  const over = held.windowNo !== pool.windowNo;
  return {
    ...pool,
    allowanceRemaining: pool.allowanceRemaining + (over ? 0 : allowance),
    expiredTotal: pool.expiredTotal + (over ? allowance : 0),
    purchasedRemaining: pool.purchasedRemaining + purchased,
    reserved: pool.reserved - held.allowance - held.purchased,
    consumedTotal: pool.consumedTotal + charged,
    holds,
  };
}

function order(pool: QuotaState, tokens: number): QuotaState | null {
  if (sumOf(pool) + tokens > LARGEST_SUM_BY_REQUEST) return null;
  if (pool.cap !== null && boughtTokens(pool) + tokens > pool.cap) return null;
  return { ...pool, pending: pool.pending + tokens, orders: [...pool.orders, tokens] };
}

function endOrder(pool: QuotaState, paid: boolean): QuotaState {
  const [tokens, ...orders] = pool.orders;
  if (tokens === undefined) return pool;
  const posted = paid ? tokens : 0;
  return {
    ...pool,
    pending: pool.pending - tokens,
    purchasedRemaining: pool.purchasedRemaining + posted,
    purchasedTotal: pool.purchasedTotal + posted,
    orders,
  };
}

function withTotal(pool: QuotaState, totalTokens: number): QuotaState | null {
  const change = changeTo(pool, totalTokens);
  if (!change.ok) return null;
  const sum = change.fromPurchased + change.fromAllowance;
  return {
    ...pool,
    purchasedRemaining: pool.purchasedRemaining + change.fromPurchased,
    allowanceRemaining: pool.allowanceRemaining + change.fromAllowance,
    grantedTotal: pool.grantedTotal + Math.max(sum, 0),
    expiredTotal: pool.expiredTotal + Math.max(-sum, 0),
  };
}
