import {
  bulkhead,
  circuitBreaker,
  CircuitState,
  DelegateBackoff,
  handleWhenResult,
  retry,
  SamplingBreaker,
  type IRetryBackoffContext,
} from 'cockatiel';
import type { Logger } from '../../telemetry/log.js';
import { CANCELLED, failed, type Attempt, type Failure } from './client.js';
import { onDeparture } from './departure.js';

export interface GuardOptions {
  attempts: number;
  /** Before the second attempt; doubles with each further one */
  backoffMs: number;
  /** A provider that asks for a longer wait than this isn't asked again by this call */
  maxRetryAfterMs: number;
  /** Calls in progress, those between two attempts included */
  bulkhead: number;
  breaker: { windowMs: number; minimumCalls: number; openMs: number };
}

export interface Refusal {
  retryAfterSeconds: number;
  detail: string;
}

export type BreakerState = 'closed' | 'half-open' | 'open';
/** Isolated: opened by hand, which nobody does */
const STATES = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
} as const;

/** An attempt that the breaker must not count: cockatiel takes every returned value it doesn't handle for a success. */
class Uncounted extends Error {
  constructor(readonly attempt: Failure) {
    super(attempt.detail);
  }
}

const isAttempt = (value: unknown): value is Attempt => typeof value === 'object' && value !== null && 'ok' in value;

/**
 * Bulkhead around retries around breaker, for one provider.
 *
 *   closed ── half of the window's attempts failed, of at least minimumCalls ──▶ open ── openMs ──▶ half-open
 *   half-open: one trial call; it succeeds ──▶ closed, it fails ──▶ open. Meanwhile the others are refused: cockatiel would let
 *   them wait for the trial, as long as its time limit.
 *
 * Attempts are counted, not calls: a provider that is down is noticed a backoff sooner.
 */
export class Guard {
  private readonly slots;
  private readonly retries;
  private readonly breaker;
  private openedAt = 0;

  constructor(
    private readonly options: GuardOptions,
    log: Logger,
    onState: (state: BreakerState) => void = () => undefined,
  ) {
    const { attempts, backoffMs, maxRetryAfterMs, breaker } = options;
    this.slots = bulkhead(options.bulkhead);
    const wantsRetry = handleWhenResult(
      (value) => isAttempt(value) && !value.ok && value.retry && (value.retryAfterMs ?? 0) <= maxRetryAfterMs,
    );
    const backoff = new DelegateBackoff<IRetryBackoffContext<unknown>>(({ attempt, result }) => {
      const failure = 'value' in result && isAttempt(result.value) && !result.value.ok ? result.value : null;
      return Math.max(backoffMs * 2 ** (attempt - 1), failure?.retryAfterMs ?? 0);
    });
    // A backoff whose caller has left must not keep the process from ending; those who wait have their server's handles.
    this.retries = retry(wantsRetry, { maxAttempts: attempts - 1, backoff }).dangerouslyUnref();
    this.breaker = circuitBreaker(
      handleWhenResult((value) => isAttempt(value) && !value.ok),
      {
        halfOpenAfter: breaker.openMs,
        breaker: new SamplingBreaker({
          // It opens above its threshold; the contract says at 50 %.
          threshold: 0.4999,
          duration: breaker.windowMs,
          // Half a call less: the product is compared with a whole number and must not miss it by a rounding error.
          minimumRps: ((breaker.minimumCalls - 0.5) * 1000) / breaker.windowMs,
        }),
      },
    );
    this.breaker.onBreak(() => {
      this.openedAt = Date.now();
      log.warn({ openMs: breaker.openMs }, 'circuit breaker opened');
    });
    this.breaker.onReset(() => log.info('circuit breaker closed'));
    this.breaker.onStateChange((state) => onState(STATES[state]));
    onState('closed');
  }

  /** Why a call made now would not be sent; null when it would. Costs a few comparisons. */
  refusal(): Refusal | null {
    const broken = this.breakerRefusal();
    if (broken) return broken;
    if (this.slots.executionSlots > 0) return null;
    return { retryAfterSeconds: 1, detail: `${this.options.bulkhead} calls are in progress, which is the limit` };
  }

  /** @throws BulkheadRejectedError unless `refusal()` was null in the same turn of the event loop */
  run(attempt: () => Promise<Attempt>, signal?: AbortSignal): Promise<Attempt> {
    let last: Failure | null = null;
    const guarded = async (): Promise<Attempt> => {
      // Also reached after a backoff during which the caller left: cockatiel's wait can't be cut short, only be without effect.
      if (signal?.aborted) return CANCELLED;
      const refusal = this.breakerRefusal();
      if (refusal) return last ? { ...last, retry: false } : refused(refusal);
      const result = await this.counted(attempt);
      if (!result.ok) last = result;
      return result;
    };
    return this.slots.execute(() => {
      const attempts = this.retries.execute(guarded);
      return signal ? unlessAborted(attempts, signal) : attempts;
    });
  }

  private async counted(attempt: () => Promise<Attempt>): Promise<Attempt> {
    try {
      return await this.breaker.execute(async () => {
        const result = await attempt();
        if (!result.ok && !result.counts) throw new Uncounted(result);
        return result;
      });
    } catch (error) {
      if (error instanceof Uncounted) return error.attempt;
      throw error;
    }
  }

  private breakerRefusal(): Refusal | null {
    const { state } = this.breaker;
    if (state === CircuitState.Closed) return null;
    if (state === CircuitState.HalfOpen) return { retryAfterSeconds: 1, detail: 'the circuit breaker is waiting for its trial call' };
    const remainingMs = this.openedAt + this.options.breaker.openMs - Date.now();
    if (remainingMs <= 0) return null;
    return { retryAfterSeconds: Math.ceil(remainingMs / 1000), detail: 'the circuit breaker is open' };
  }
}

function refused({ detail, retryAfterSeconds }: Refusal): Failure {
  return failed('refused', detail, { retry: false, counts: false, retryAfterMs: retryAfterSeconds * 1000 });
}

/** Settles at once when the caller leaves, also between two attempts. */
function unlessAborted(attempts: Promise<Attempt>, signal: AbortSignal): Promise<Attempt> {
  return new Promise((resolve, reject) => {
    const stay = onDeparture(signal, () => resolve(CANCELLED));
    attempts.then(resolve, reject).finally(stay);
  });
}
