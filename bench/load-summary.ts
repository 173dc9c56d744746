import type { LoadResult } from './load.js';

/** Collects the answers of one load run. Exact percentiles: a run has few enough of them to keep all. */
export class LoadSummary {
  private readonly accepted: number[] = [];
  private readonly others: number[] = [];
  private readonly refused: Record<string, number> = {};
  withoutRetryAfter = 0;
  unanswered = 0;

  add(status: number, latencyMs: number): void {
    if (status >= 200 && status < 300) {
      this.accepted.push(latencyMs);
      return;
    }
    this.others.push(latencyMs);
    this.refused[status] = (this.refused[status] ?? 0) + 1;
  }

  /** @param goodput of a run whose end says nothing of its speed; else all accepted over all its time */
  result(seconds: number, goodput?: number): LoadResult {
    const accepted = this.accepted.sort((a, b) => a - b);
    const others = this.others.sort((a, b) => a - b);
    return {
      ok: accepted.length,
      refused: this.refused,
      withoutRetryAfter: this.withoutRetryAfter,
      unanswered: this.unanswered,
      seconds,
      opsPerSecond: goodput ?? accepted.length / seconds,
      p50Ms: percentile(accepted, 0.5),
      p99Ms: percentile(accepted, 0.99),
      refusedP99Ms: percentile(others, 0.99),
    };
  }
}

/** Nearest rank. 0 for no values */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
