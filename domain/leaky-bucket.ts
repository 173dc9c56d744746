/**
 * The rate bucket, in three strategies over one state. Times are milliseconds of one clock, passed in; amounts are tokens.
 *
 *   LEAKY_BUCKET   `level` is what has been poured in and not leaked yet; it leaks `leakPerSecond`
 *   TOKEN_BUCKET   `level` is what has been taken and not refilled yet; it refills `leakPerSecond` (the same arithmetic:
 *                  level = capacity − tokens in the bucket)
 *   FIXED_WINDOW   `level` is what was admitted in the current window of `windowMs`; it drops to 0 when the next begins
 */
export const STRATEGIES = ['LEAKY_BUCKET', 'TOKEN_BUCKET', 'FIXED_WINDOW'] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface BucketRule {
  strategy: Strategy;
  /** tokens */
  capacity: number;
  /** tokens per second */
  leakPerSecond: number;
  windowMs: number;
}

export interface BucketState {
  level: number;
  /** When `level` was true; for FIXED_WINDOW the start of the window */
  at: number;
}

export interface BucketDecision {
  allowed: boolean;
  capacity: number;
  /** Whole tokens in use after the decision, rounded up */
  used: number;
  /** Whole tokens that would still fit, rounded down */
  remaining: number;
  /** Seconds until `amount` would fit; 0 when allowed; null when it never will, as it exceeds the capacity */
  waitSeconds: number | null;
  state: BucketState;
}

export const EMPTY_BUCKET: BucketState = { level: 0, at: 0 };

/** The state at `now`, with nothing taken. A clock that steps back leaks nothing and gives nothing. */
export function leaked(rule: BucketRule, state: BucketState, now: number): BucketState {
  if (rule.strategy === 'FIXED_WINDOW') {
    const start = now - (now % rule.windowMs);
    return start > state.at ? { level: 0, at: start } : state;
  }
  if (now <= state.at) return state;
  return { level: Math.max(0, state.level - ((now - state.at) / 1000) * rule.leakPerSecond), at: now };
}

/** Pours `amount` tokens in when they fit, else changes nothing but the passage of time. */
export function pour(rule: BucketRule, before: BucketState, amount: number, now: number): BucketDecision {
  const state = leaked(rule, before, now);
  const allowed = state.level + amount <= rule.capacity;
  return decisionOn(rule, allowed ? { level: state.level + amount, at: state.at } : state, allowed, amount, now);
}

/** What to tell of `amount` that was poured in (allowed) or refused at `now`, which left the bucket in `state`. */
export function decisionOn(rule: BucketRule, state: BucketState, allowed: boolean, amount: number, now: number): BucketDecision {
  const used = Math.ceil(state.level);
  const remaining = Math.max(0, rule.capacity - used);
  const waitSeconds = allowed ? 0 : amount > rule.capacity ? null : waitFor(rule, state, amount, now);
  return { allowed, capacity: rule.capacity, used, remaining, waitSeconds, state };
}

/** Takes back what `pour` admitted, for work that was refused afterwards. */
export function unpour(rule: BucketRule, before: BucketState, amount: number, now: number): BucketState {
  const state = leaked(rule, before, now);
  return { level: Math.max(0, state.level - amount), at: state.at };
}

function waitFor(rule: BucketRule, state: BucketState, amount: number, now: number): number {
  if (rule.strategy === 'FIXED_WINDOW') return Math.max(1, Math.ceil((state.at + rule.windowMs - now) / 1000));
  return Math.max(1, Math.ceil((state.level + amount - rule.capacity) / rule.leakPerSecond));
}
