interface Counts {
  ok: number;
  failed: number;
}

const SLICES = 10;
const isFailing = ({ ok, failed }: Counts): boolean => failed > 0 && failed >= ok;

/**
 * Attempts of the last `windowMs`, apart for each caller. Sums are kept as attempts come and as slices of the window end, so that
 * asking costs the same with one caller and with thousands.
 */
export class CallerWindow {
  private slices: { endsAt: number; counts: Map<string, Counts> }[] = [];
  private readonly callers = new Map<string, Counts>();
  private readonly sum: Counts = { ok: 0, failed: 0 };
  private failing = 0;

  constructor(private readonly windowMs: number) {}

  add(caller: string, ok: boolean, now: number): void {
    this.expire(now);
    let slice = this.slices.at(-1);
    if (!slice || now >= slice.endsAt - this.windowMs) {
      slice = { endsAt: now + this.windowMs / SLICES + this.windowMs, counts: new Map() };
      this.slices.push(slice);
    }
    const counts = slice.counts.get(caller) ?? { ok: 0, failed: 0 };
    counts[ok ? 'ok' : 'failed']++;
    slice.counts.set(caller, counts);
    this.change(caller, ok ? 1 : 0, ok ? 0 : 1);
  }

  /** Half of at least `minimum` attempts of this caller failed. */
  hasFailed(caller: string, minimum: number): boolean {
    const counts = this.callers.get(caller);
    return counts !== undefined && counts.ok + counts.failed >= minimum && isFailing(counts);
  }

  /**
   * Half of at least `minimum` attempts failed, and half of the callers, `minimumCallers` at least, saw half of theirs fail. Each
   * caller has one vote, however much it calls.
   */
  haveFailed(minimum: number, minimumCallers: number): boolean {
    const { ok, failed } = this.sum;
    const votes = this.failing >= minimumCallers && this.failing * 2 >= this.callers.size;
    return votes && ok + failed >= minimum && isFailing(this.sum);
  }

  forget(caller: string): void {
    const counts = this.callers.get(caller);
    if (counts) this.change(caller, -counts.ok, -counts.failed);
    for (const slice of this.slices) slice.counts.delete(caller);
  }

  clear(): void {
    this.slices = [];
    this.callers.clear();
    this.sum.ok = this.sum.failed = this.failing = 0;
  }

  private expire(now: number): void {
    for (let first = this.slices[0]; first && first.endsAt <= now; first = this.slices[0]) {
      for (const [caller, { ok, failed }] of first.counts) this.change(caller, -ok, -failed);
      this.slices.shift();
    }
  }

  private change(caller: string, ok: number, failed: number): void {
    const counts = this.callers.get(caller) ?? { ok: 0, failed: 0 };
    const before = isFailing(counts);
    counts.ok += ok;
    counts.failed += failed;
    this.sum.ok += ok;
    this.sum.failed += failed;
    this.failing += Number(isFailing(counts)) - Number(before);
    if (counts.ok + counts.failed === 0) this.callers.delete(caller);
    else this.callers.set(caller, counts);
  }
}
