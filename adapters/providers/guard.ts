import { DelegateBackoff, handleWhenResult, retry, type IRetryBackoffContext } from 'cockatiel';
import { SharedPlaces, shareOf } from '../../platform/shared-places.js';
import type { Logger } from '../../telemetry/log.js';
import { ProviderBreaker, type BreakerOptions, type BreakerState, type Refusal } from './breaker.js';
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
  /** The part of them that one caller may have, 0 to 1 */
  callerShare: number;
  breaker: BreakerOptions;
}

const isAttempt = (value: unknown): value is Attempt => typeof value === 'object' && value !== null && 'ok' in value;

/** Bulkhead around retries around breaker, for one provider. No caller has more than its share of the bulkhead. */
export class Guard {
  private readonly places: SharedPlaces;
  private readonly perCaller: number;
  private readonly retries;
  private readonly breaker: ProviderBreaker;

  constructor(
    private readonly options: GuardOptions,
    log: Logger,
    onState: (state: BreakerState) => void = () => undefined,
  ) {
    const { attempts, backoffMs, maxRetryAfterMs, bulkhead, callerShare, breaker } = options;
    this.perCaller = shareOf(bulkhead, callerShare);
    this.places = new SharedPlaces({ places: bulkhead, perCaller: this.perCaller });
    const wantsRetry = handleWhenResult(
      (value) => isAttempt(value) && !value.ok && value.retry && (value.retryAfterMs ?? 0) <= maxRetryAfterMs,
    );
    const backoff = new DelegateBackoff<IRetryBackoffContext<unknown>>(({ attempt, result }) => {
      const failure = 'value' in result && isAttempt(result.value) && !result.value.ok ? result.value : null;
      return Math.max(backoffMs * 2 ** (attempt - 1), failure?.retryAfterMs ?? 0);
    });
    // A backoff whose caller has left must not keep the process from ending; those who wait have their server's handles.
    this.retries = retry(wantsRetry, { maxAttempts: attempts - 1, backoff }).dangerouslyUnref();
    this.breaker = new ProviderBreaker(breaker, {
      onState: (state) => {
        if (state === 'open') log.warn({ openMs: breaker.openMs }, 'circuit breaker opened');
        onState(state);
      },
      onCallerOpened: (caller) => log.info({ caller, openMs: breaker.openMs }, 'circuit breaker opened for one caller'),
    });
  }

  /** Why a call of this caller made now would not be sent; null when it would. Costs a few comparisons. */
  refusal(caller: string): Refusal | null {
    const broken = this.breaker.refusal(caller);
    if (broken) return broken;
    const { bulkhead } = this.options;
    if (this.places.inUse >= bulkhead) {
      return { retryAfterSeconds: 1, detail: `${bulkhead} calls are in progress, which is the limit` };
    }
    if (this.places.heldBy(caller) < this.perCaller) return null;
    return { retryAfterSeconds: 1, detail: `${this.perCaller} calls of yours are in progress, which is one caller's share` };
  }

  /** Calls of this caller in progress */
  inProgressOf(caller: string): number {
    return this.places.heldBy(caller);
  }

  /** @throws NoPlace unless `refusal()` was null in the same turn of the event loop */
  async run(caller: string, attempt: () => Promise<Attempt>, signal?: AbortSignal): Promise<Attempt> {
    let last: Failure | null = null;
    const guarded = async (): Promise<Attempt> => {
      // Also reached after a backoff during which the caller left: cockatiel's wait can't be cut short, only be without effect.
      if (signal?.aborted) return CANCELLED;
      const refusal = this.breaker.refusal(caller);
      if (refusal) return last ? { ...last, retry: false } : refused(refusal);
      const result = await this.breaker.run(caller, attempt);
      if (!result.ok) last = result;
      return result;
    };
    const giveBack = this.places.take(caller);
    try {
      const attempts = this.retries.execute(guarded);
      return await (signal ? unlessAborted(attempts, signal) : attempts);
    } finally {
      giveBack();
    }
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
