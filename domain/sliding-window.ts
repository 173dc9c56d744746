/**
 * Sliding-window log: at most `limit` admissions in any half-open window of `windowMs`. Exact, unlike a pair of counters,
 * and still bounded: the log holds admissions only, so a key that hammers never costs more than `limit` numbers.
 * Refused attempts are not logged: a caller that keeps trying is let in as soon as its oldest admission leaves the window.
 */
export interface WindowPolicy {
  limit: number;
  windowMs: number;
}

export interface WindowDecision {
  allowed: boolean;
  limit: number;
  /** Admissions in the window that ends now, this one included */
  used: number;
  remaining: number;
  /** Unix milliseconds at which the oldest admission leaves the window and one more is possible; now when the window is empty */
  resetAtMs: number;
}

const FIRST_CAPACITY = 8;

export class SlidingWindow {
  /** Ring of admission times in order; it grows by doubling up to the limit, as most keys never come near it. */
  private times: Float64Array;
  private first = 0;
  private count = 0;
  private latest = 0;

  constructor(readonly policy: WindowPolicy) {
    if (!(policy.limit >= 1) || !(policy.windowMs > 0)) throw new RangeError('limit must be at least 1 and windowMs positive');
    this.times = new Float64Array(Math.min(FIRST_CAPACITY, policy.limit));
  }

  /** Admits and logs one request at `nowMs`, or refuses it. A clock that steps back is taken as standing still. */
  hit(nowMs: number): WindowDecision {
    const now = this.advance(nowMs);
    const allowed = this.count < this.policy.limit;
    if (allowed) this.push(now);
    return this.decision(allowed, now);
  }

  /** Says what `hit` would decide, without taking part in it. */
  peek(nowMs: number): WindowDecision {
    const now = this.advance(nowMs);
    return this.decision(this.count < this.policy.limit, now);
  }

  private advance(nowMs: number): number {
    this.latest = Math.max(this.latest, nowMs);
    while (this.count > 0 && this.latest - this.oldest() >= this.policy.windowMs) {
      this.first = (this.first + 1) % this.times.length;
      this.count -= 1;
    }
    return this.latest;
  }

  private oldest(): number {
    return this.times[this.first] ?? 0;
  }

  private push(now: number): void {
    if (this.count === this.times.length) this.grow();
    this.times[(this.first + this.count) % this.times.length] = now;
    this.count += 1;
  }

  private grow(): void {
    const larger = new Float64Array(Math.min(this.policy.limit, this.times.length * 2));
    for (let index = 0; index < this.count; index += 1) larger[index] = this.times[(this.first + index) % this.times.length] ?? 0;
    this.times = larger;
    this.first = 0;
  }

  private decision(allowed: boolean, now: number): WindowDecision {
    return decisionOn(this.policy, allowed, this.count, this.count > 0 ? this.oldest() : null, now);
  }
}

/** What to tell of a window that holds `used` admissions, the first of them at `oldestMs` (null: none). */
export function decisionOn(
  { limit, windowMs }: WindowPolicy,
  allowed: boolean,
  used: number,
  oldestMs: number | null,
  nowMs: number,
): WindowDecision {
  return { allowed, limit, used, remaining: Math.max(0, limit - used), resetAtMs: oldestMs === null ? nowMs : oldestMs + windowMs };
}
