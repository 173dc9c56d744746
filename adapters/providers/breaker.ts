import { LRUCache } from 'lru-cache';
import type { Attempt } from './client.js';
import { CallerWindow } from './caller-window.js';

export interface BreakerOptions {
  windowMs: number;
  /** Fewer attempts in the window open nothing */
  minimumCalls: number;
  openMs: number;
  /** Callers whose attempts must fail before it opens for all */
  minimumCallers: number;
}

export interface Refusal {
  retryAfterSeconds: number;
  detail: string;
}

export type BreakerState = 'closed' | 'half-open' | 'open';

export interface BreakerEvents {
  /** Of the circuit that is everybody's */
  onState(state: BreakerState): void;
  onCallerOpened(caller: string): void;
}

/** Circuits of single callers that are open; more callers than that in trouble at a time, and the oldest may call again. */
const MAX_OPEN = 10_000;

/** A circuit that has opened: all is refused for `openMs`, then a few trial calls decide. */
class Opened {
  /** Trial calls: running (null), or when they failed. One for each caller, so that no caller alone keeps it open */
  private readonly trials = new Map<string, number | null>();

  constructor(
    private since: number,
    private readonly openMs: number,
    private readonly maxTrials: number,
  ) {}

  state(now: number): BreakerState {
    return now < this.since + this.openMs ? 'open' : 'half-open';
  }

  refusal(caller: string, now: number): Refusal | null {
    const remainingMs = this.since + this.openMs - now;
    if (remainingMs > 0) return { retryAfterSeconds: Math.ceil(remainingMs / 1000), detail: 'the circuit breaker is open' };
    for (const [one, failedAt] of this.trials) if (failedAt !== null && now - failedAt >= this.openMs) this.trials.delete(one);
    if (!this.trials.has(caller) && this.trials.size < this.maxTrials) return null;
    return { retryAfterSeconds: 1, detail: 'the circuit breaker is waiting for its trial call' };
  }

  begin(caller: string): void {
    this.trials.set(caller, null);
  }

  /** The attempt said nothing: the trial is another one's. */
  leave(caller: string): void {
    this.trials.delete(caller);
  }

  fail(caller: string, now: number): void {
    this.trials.set(caller, now);
    const failed = [...this.trials.values()].filter((at) => at !== null).length;
    if (failed < this.maxTrials) return;
    this.since = now;
    this.trials.clear();
  }
}

/**
 * Decides whether a provider is called, from what its attempts came to: for all callers, and for each alone.
 *
 *   closed ── half of the window's attempts failed, of at least minimumCalls ──▶ open ── openMs ──▶ half-open
 *   half-open: one trial call; it succeeds ──▶ closed, it fails ──▶ open. Meanwhile the others are refused.
 *
 * One caller's failures open the circuit of that caller alone: its prompts may be what takes too long. For everybody it opens
 * when half of the callers, three at least, see half of their attempts fail; its trial calls are three, of three callers, and the
 * first that succeeds closes it. Attempts are counted, not calls: a provider that is down is noticed a backoff sooner.
 */
export class ProviderBreaker {
  private readonly window: CallerWindow;
  private everybody: Opened | null = null;
  private readonly own = new LRUCache<string, Opened>({ max: MAX_OPEN });

  constructor(
    private readonly options: BreakerOptions,
    private readonly events: BreakerEvents,
  ) {
    this.window = new CallerWindow(options.windowMs);
    events.onState('closed');
  }

  refusal(caller: string, now = Date.now()): Refusal | null {
    return this.everybody?.refusal(caller, now) ?? this.own.get(caller)?.refusal(caller, now) ?? null;
  }

  /** Whatever `attempt` answers. `refusal` was null in the same turn of the event loop. */
  async run(caller: string, attempt: () => Promise<Attempt>): Promise<Attempt> {
    const everybody = this.everybody;
    const own = this.own.get(caller);
    everybody?.begin(caller);
    own?.begin(caller);
    if (everybody) this.events.onState('half-open');
    let ended: Attempt | null = null;
    try {
      ended = await attempt();
      return ended;
    } finally {
      const says = ended === null ? null : verdict(ended);
      if (everybody || own) this.endTrial(caller, says, everybody, own);
      else if (says !== null && isCounted(ended)) this.count(caller, says);
    }
  }

  /** Only trials judge a circuit that has opened: what began before may still end in its old way. */
  private endTrial(caller: string, well: boolean | null, everybody: Opened | null, own: Opened | undefined): void {
    const now = Date.now();
    if (well === null) {
      everybody?.leave(caller);
      own?.leave(caller);
    } else if (!well) {
      everybody?.fail(caller, now);
      own?.fail(caller, now);
      if (everybody && everybody === this.everybody) this.events.onState(everybody.state(now));
    } else if (everybody && everybody === this.everybody) this.close();
    else if (own && own === this.own.get(caller)) {
      this.own.delete(caller);
      this.window.forget(caller);
    }
  }

  private close(): void {
    this.everybody = null;
    this.own.clear();
    this.window.clear();
    this.events.onState('closed');
  }

  private count(caller: string, ok: boolean): void {
    const { minimumCalls, minimumCallers, openMs } = this.options;
    const now = Date.now();
    this.window.add(caller, ok, now);
    if (ok) return;
    if (!this.everybody && this.window.haveFailed(minimumCalls, minimumCallers)) {
      this.everybody = new Opened(now, openMs, minimumCallers);
      this.events.onState('open');
    }
    if (!this.own.has(caller) && this.window.hasFailed(caller, minimumCalls)) {
      this.own.set(caller, new Opened(now, openMs, 1));
      this.events.onCallerOpened(caller);
    }
  }
}

/** Whether the provider is well; null when the attempt does not say. To decline is to be well. */
const verdict = (attempt: Attempt): boolean | null => {
  if (attempt.ok) return true;
  if (attempt.counts) return false;
  return attempt.kind === 'cancelled' || attempt.code === 'PROVIDER_FAILED' ? null : true;
};
const isCounted = (attempt: Attempt | null): boolean => attempt !== null && (attempt.ok || attempt.counts);
