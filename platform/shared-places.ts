export interface SharedPlacesOptions {
  /** Places in all */
  places: number;
  /** Places that one caller may hold at most, so that nobody holds all of them */
  perCaller: number;
  /** How long a call waits for a place at most; 0: nobody waits */
  waitMs?: number;
  /** Calls that may wait, in all and of one caller. Default: ten and one for each place */
  waiting?: number;
  waitingPerCaller?: number;
}

/** No place: `share` says that it is the caller's own calls that hold or await all it may have, else that all places are taken. */
export class NoPlace extends Error {
  override readonly name = 'NoPlace';
  constructor(readonly taken: 'share' | 'all') {
    super(taken === 'share' ? 'this caller has its share of the places' : 'all places are taken');
  }
}

interface Waiter {
  admit: () => void;
  refuse: () => void;
}

interface Caller {
  held: number;
  waiters: Set<Waiter>;
}

/**
 * Places of something shared (connections, calls in flight, open purchases), of which each caller has a share.
 *
 *   free place and share not used up ──▶ the call enters at once
 *   else it waits, at most `waitMs`, in its caller's own queue; a place that comes free goes to the callers in turn, so a caller
 *   with a thousand waiting calls delays another one's call by one place at most
 *
 * A place is given back by calling what `enter` returned; calling it again does nothing.
 */
export class SharedPlaces {
  private held = 0;
  private waiting = 0;
  /** Callers that hold or await a place; those whose turn is next come first */
  private readonly callers = new Map<string, Caller>();
  private readonly maxWaiting: number;
  private readonly maxWaitingPerCaller: number;

  constructor(private readonly options: SharedPlacesOptions) {
    const { places, perCaller, waiting = places * 10, waitingPerCaller = Math.max(1, Math.ceil(perCaller * 10)) } = options;
    this.maxWaiting = waiting;
    this.maxWaitingPerCaller = Math.min(waiting, waitingPerCaller);
  }

  /** Places taken */
  get inUse(): number {
    return this.held;
  }

  heldBy(caller: string): number {
    return this.callers.get(caller)?.held ?? 0;
  }

  /** Whether a call would be let in or may wait now: a cheap look before anything is done for it. */
  hasRoom(caller: string): boolean {
    const { places, perCaller, waitMs = 0 } = this.options;
    const state = this.callers.get(caller);
    if (this.held < places && (state?.held ?? 0) < perCaller) return true;
    return waitMs > 0 && this.waiting < this.maxWaiting && (state?.waiters.size ?? 0) < this.maxWaitingPerCaller;
  }

  /** A place at once. @throws NoPlace */
  take(caller: string): () => void {
    const state = this.callers.get(caller) ?? this.meet(caller);
    if (this.held < this.options.places && state.held < this.options.perCaller) return this.occupy(caller, state);
    this.forget(caller, state);
    throw new NoPlace(state.held >= this.options.perCaller ? 'share' : 'all');
  }

  /** A place, now or within `waitMs`. @throws NoPlace */
  async enter(caller: string): Promise<() => void> {
    const { places, perCaller, waitMs = 0 } = this.options;
    const state = this.callers.get(caller) ?? this.meet(caller);
    if (this.held < places && state.held < perCaller) return this.occupy(caller, state);
    const reason = state.held >= perCaller ? 'share' : 'all';
    if (waitMs === 0 || state.waiters.size >= this.maxWaitingPerCaller || this.waiting >= this.maxWaiting) {
      this.forget(caller, state);
      throw new NoPlace(this.waiting >= this.maxWaiting ? 'all' : reason);
    }
    return this.wait(caller, state, waitMs, reason);
  }

  private wait(caller: string, state: Caller, waitMs: number, reason: 'share' | 'all'): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        state.waiters.delete(waiter);
        this.waiting -= 1;
      };
      const waiter: Waiter = {
        admit: () => {
          leave();
          resolve(this.occupy(caller, state));
        },
        refuse: () => {
          leave();
          this.forget(caller, state);
          reject(new NoPlace(reason));
        },
      };
      const timer = setTimeout(waiter.refuse, waitMs);
      state.waiters.add(waiter);
      this.waiting += 1;
    });
  }

  private occupy(caller: string, state: Caller): () => void {
    this.held += 1;
    state.held += 1;
    let here = true;
    return () => {
      if (!here) return;
      here = false;
      this.held -= 1;
      state.held -= 1;
      this.forget(caller, state);
      if (this.waiting > 0) this.admitNext();
    };
  }

  /** The first caller in turn that waits and has some of its share left; it goes to the end of the line. */
  private admitNext(): void {
    for (const [caller, state] of this.callers) {
      const [next] = state.waiters;
      if (!next || state.held >= this.options.perCaller) continue;
      this.callers.delete(caller);
      this.callers.set(caller, state);
      next.admit();
      return;
    }
  }

  private meet(caller: string): Caller {
    const state: Caller = { held: 0, waiters: new Set() };
    this.callers.set(caller, state);
    return state;
  }

  private forget(caller: string, state: Caller): void {
    if (state.held === 0 && state.waiters.size === 0) this.callers.delete(caller);
  }
}

/** The part of `places` that one caller may hold: at least one. */
export const shareOf = (places: number, share: number): number => Math.max(1, Math.floor(places * share));
