import { BrokenCircuitError, CircuitState, circuitBreaker, handleWhenResult, type IBreaker } from 'cockatiel';

/** Durations in milliseconds, rates as fractions. */
export interface BreakerSettings {
  failureRate: number;
  windowMs: number;
  minimumCalls: number;
  openMs: number;
  trialCalls: number;
}

export const BREAKER_DEFAULTS: BreakerSettings = { failureRate: 0.5, windowMs: 10_000, minimumCalls: 10, openMs: 30_000, trialCalls: 5 };

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

class NeutralCall extends Error {}

const SLICES = 10;

/**
 * Outcomes of the last `windowMs`, and after an open time those of the trial calls only. The library asks it on each failure
 * whether to open.
 */
class OutcomeWindow implements IBreaker {
  state: unknown = null;
  private slices: { startedAt: number; failures: number; total: number }[] = [];
  /** Trials of a half-open breaker that have ended; null when none are under way */
  trials: { failures: number; total: number } | null = null;

  constructor(private readonly settings: BreakerSettings) {}

  success(): void {
    this.record(false);
  }

  failure(state: CircuitState): boolean {
    const { failures, total } = this.record(true);
    if (this.trials) return state === CircuitState.HalfOpen || this.trialsFailed();
    return total >= this.settings.minimumCalls && failures >= this.settings.failureRate * total;
  }

  private trialsFailed(): boolean {
    return this.trials !== null && this.trials.failures >= this.settings.failureRate * this.settings.trialCalls;
  }

  reset(): void {
    this.slices = [];
  }

  private record(failed: boolean): { failures: number; total: number } {
    if (this.trials) {
      this.trials.total += 1;
      if (failed) this.trials.failures += 1;
      return this.trials;
    }
    const now = Date.now();
    const sliceMs = this.settings.windowMs / SLICES;
    while (this.slices[0] && now - this.slices[0].startedAt >= this.settings.windowMs) this.slices.shift();
    let slice = this.slices.at(-1);
    if (!slice || now - slice.startedAt >= sliceMs) {
      slice = { startedAt: now, failures: 0, total: 0 };
      this.slices.push(slice);
    }
    slice.total += 1;
    if (failed) slice.failures += 1;
    return this.slices.reduce((sum, { failures, total }) => ({ failures: sum.failures + failures, total: sum.total + total }), {
      failures: 0,
      total: 0,
    });
  }
}

/**
 * Circuit breaker of one service on cockatiel's, which admits one trial after the open time and makes every other call wait
 * for it. Here trials are several and nobody waits:
 *
 *   closed ── failures ≥ rate of ≥ minimumCalls in the window ──▶ open ── openMs ──▶ half-open
 *   half-open: the first trial goes alone; it fails ▶ open; it succeeds ▶ the other trials are admitted together
 *   half-open ── failed trials ≥ rate of trialCalls ▶ open; all trials ended otherwise ▶ closed
 *
 * Calls that are no trial are refused while it is open or half-open.
 */
export class ServiceBreaker {
  private readonly window: OutcomeWindow;
  private readonly policy;
  private openUntil = 0;
  private trialsInFlight = 0;
  /** Counts openings: a call that began before the last one says nothing about the service now */
  private openings = 0;

  constructor(
    private readonly settings: BreakerSettings,
    private readonly onState: (state: BreakerState) => void = () => undefined,
  ) {
    this.window = new OutcomeWindow(settings);
    this.policy = circuitBreaker(
      handleWhenResult((result) => (result as { verdict: Verdict }).verdict === 'failure'),
      { halfOpenAfter: settings.openMs, breaker: this.window },
    );
    this.policy.onBreak(() => {
      this.openUntil = Date.now() + settings.openMs;
      this.openings += 1;
      this.window.trials = null;
      this.window.reset();
      onState('open');
    });
    this.policy.onHalfOpen(() => {
      this.window.trials = { failures: 0, total: 0 };
      onState('half-open');
    });
    onState('closed');
  }

  get state(): BreakerState {
    if (this.policy.state === CircuitState.Closed) return this.window.trials ? 'half-open' : 'closed';
    return this.policy.state === CircuitState.HalfOpen ? 'half-open' : 'open';
  }

  /** Cheap look before a call queues for anything. @throws BreakerOpen */
  check(): void {
    if (this.policy.state === CircuitState.Open && Date.now() < this.openUntil) throw new BreakerOpen(this.openUntil - Date.now());
    if (this.policy.state === CircuitState.HalfOpen || !this.trialIsFree()) throw new BreakerOpen(1_000);
  }

  /**
   * Makes the call unless the breaker forbids it. The call never rejects: it tells its verdict.
   * @throws BreakerOpen
   */
  async execute<T extends { verdict: Verdict }>(call: () => Promise<T>): Promise<T> {
    this.check();
    const trial = this.state !== 'closed';
    if (trial) this.trialsInFlight += 1;
    const { openings } = this;
    let neutral: T | undefined;
    try {
      return await this.policy.execute(async () => {
        const result = await call();
        if (result.verdict !== 'neutral' && openings === this.openings) return result;
        neutral = result;
        // Anything unhandled that is thrown counts neither way.
        throw new NeutralCall();
      });
    } catch (error) {
      if (neutral) return neutral;
      if (error instanceof BrokenCircuitError) throw new BreakerOpen(Math.max(0, this.openUntil - Date.now()));
      throw error;
    } finally {
      if (trial) this.endTrial();
    }
  }

  private trialIsFree(): boolean {
    const { trials } = this.window;
    return trials === null || trials.total + this.trialsInFlight < this.settings.trialCalls;
  }

  private endTrial(): void {
    this.trialsInFlight -= 1;
    const { trials } = this.window;
    if (!trials || this.policy.state !== CircuitState.Closed) return;
    if (trials.total >= this.settings.trialCalls) {
      this.window.trials = null;
      this.onState('closed');
    }
  }
}
