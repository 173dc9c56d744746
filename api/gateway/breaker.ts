/** Durations in milliseconds, rates as fractions. */
export interface BreakerSettings {
  failureRate: number;
  windowMs: number;
  minimumCalls: number;
  /** The longest pause before the next trial */
  openMs: number;
  /** The first pause; each trial that fails doubles it. Default: a second */
  firstPauseMs?: number;
  trialCalls: number;
}

export const BREAKER_DEFAULTS: BreakerSettings = { failureRate: 0.5, windowMs: 10_000, minimumCalls: 10, openMs: 30_000, trialCalls: 5 };
const FIRST_PAUSE_MS = 1_000;

export type BreakerState = 'closed' | 'open' | 'half-open';

/** How a call ended, as far as the health of the service goes. Neutral: it says nothing, as when the client hung up. */
export type Verdict = 'success' | 'failure' | 'neutral';

/** No call was made because the breaker is open or its trials are taken. */
export class BreakerOpen extends Error {
  override readonly name = 'BreakerOpen';
  constructor(readonly retryAfterMs: number) {
    super('the breaker is open');
  }
}

const SLICES = 10;
const TRIALS_TAKEN_MS = 1_000;

/** Outcomes of the last `windowMs`, in slices. */
class OutcomeWindow {
  private slices: { startedAt: number; failures: number; total: number }[] = [];

  constructor(private readonly windowMs: number) {}

  record(failed: boolean): { failures: number; total: number } {
    const now = Date.now();
    while (this.slices[0] && now - this.slices[0].startedAt >= this.windowMs) this.slices.shift();
    let slice = this.slices.at(-1);
    if (!slice || now - slice.startedAt >= this.windowMs / SLICES) {
      slice = { startedAt: now, failures: 0, total: 0 };
      this.slices.push(slice);
    }
    slice.total += 1;
    if (failed) slice.failures += 1;
    const sum = { failures: 0, total: 0 };
    for (const { failures, total } of this.slices) {
      sum.failures += failures;
      sum.total += total;
    }
    return sum;
  }

  clear(): void {
    this.slices = [];
  }
}

/**
 * Circuit breaker of one service:
 *
 *   closed ── failures ≥ rate of ≥ minimumCalls in the window ──▶ open ── pause, or `tryNow` ──▶ half-open
 *   half-open: the first trial goes alone; it fails ▶ open; it succeeds ▶ the other trials are admitted together
 *   half-open ── failed trials ≥ rate of trialCalls ▶ open; all trials ended otherwise ▶ closed
 *
 * Pauses are a second, then two, four, … up to `openMs`: a cause that was short is not paid for with the longest pause, and one
 * first trial that met leftovers costs two seconds. Calls that are no trial are refused while it is open or half-open. A call
 * that began before the last opening says nothing about the service now.
 */
export class ServiceBreaker {
  private readonly outcomes: OutcomeWindow;
  private phase: BreakerState = 'closed';
  private pauseMs = 0;
  private openUntil = 0;
  private openings = 0;
  private trials = { inFlight: 0, ended: 0, failed: 0 };

  constructor(
    private readonly settings: BreakerSettings,
    private readonly onState: (state: BreakerState) => void = () => undefined,
  ) {
    this.outcomes = new OutcomeWindow(settings.windowMs);
    onState('closed');
  }

  get state(): BreakerState {
    return this.phase;
  }

  /** Cheap look before a call queues for anything. @throws BreakerOpen */
  check(): void {
    if (this.phase === 'closed') return;
    if (this.phase === 'open') {
      const left = this.openUntil - Date.now();
      if (left > 0) throw new BreakerOpen(left);
      return;
    }
    const { inFlight, ended } = this.trials;
    const admitted = ended === 0 ? 1 : this.settings.trialCalls;
    if (ended + inFlight >= admitted) throw new BreakerOpen(TRIALS_TAKEN_MS);
  }

  /** The service says that it is well: the pause ends. */
  tryNow(): void {
    if (this.phase === 'open') this.openUntil = 0;
  }

  /**
   * Makes the call unless the breaker forbids it. The call never rejects: it tells its verdict.
   * @throws BreakerOpen
   */
  async execute<T extends { verdict: Verdict }>(call: () => Promise<T>): Promise<T> {
    this.check();
    if (this.phase === 'open') this.enter('half-open');
    const { openings, trials } = this;
    const trial = this.phase === 'half-open';
    if (trial) trials.inFlight += 1;
    let verdict: Verdict = 'neutral';
    try {
      const result = await call();
      ({ verdict } = result);
      return result;
    } finally {
      if (trial) trials.inFlight -= 1;
      if (verdict !== 'neutral' && openings === this.openings) this.record(verdict === 'failure', trial);
    }
  }

  private record(failed: boolean, trial: boolean): void {
    const { failureRate, minimumCalls, trialCalls } = this.settings;
    if (!trial) {
      const { failures, total } = this.outcomes.record(failed);
      if (failed && this.phase === 'closed' && total >= minimumCalls && failures >= failureRate * total) this.enter('open');
      return;
    }
    this.trials.ended += 1;
    if (failed) this.trials.failed += 1;
    if (failed && (this.trials.ended === 1 || this.trials.failed >= failureRate * trialCalls)) this.enter('open');
    else if (this.trials.ended >= trialCalls) this.enter('closed');
  }

  private enter(phase: BreakerState): void {
    const { openMs, firstPauseMs = FIRST_PAUSE_MS } = this.settings;
    if (phase === 'open') {
      this.pauseMs = Math.min(openMs, this.phase === 'closed' ? firstPauseMs : this.pauseMs * 2);
      this.openUntil = Date.now() + this.pauseMs;
      this.openings += 1;
      this.outcomes.clear();
    }
    this.trials = { inFlight: 0, ended: 0, failed: 0 };
    this.phase = phase;
    this.onState(phase);
  }
}
