export interface RestartLimits {
  /** That many ends are mended in a window; the next one is given up */
  most: number;
  windowMs: number;
  /** Before the first restart of a window; doubles with each further one */
  firstDelayMs: number;
  longestDelayMs: number;
}

/** Bounds what is started anew after its end: mending for ever would hide a fault that does not pass, and keep a core busy. */
export class Restarts {
  private ends: number[] = [];

  constructor(private readonly limits: RestartLimits) {}

  /** @returns how long to wait before the next start; null: there were too many ends */
  next(now = Date.now()): number | null {
    const { most, windowMs, firstDelayMs, longestDelayMs } = this.limits;
    this.ends = this.ends.filter((at) => at > now - windowMs);
    if (this.ends.length >= most) return null;
    this.ends.push(now);
    return Math.min(firstDelayMs * 2 ** (this.ends.length - 1), longestDelayMs);
  }
}
