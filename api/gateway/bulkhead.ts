import { bulkhead } from 'cockatiel';

/** Calls in flight at once, calls that may wait for a place, and how long one waits at most. */
export interface BulkheadSettings {
  calls: number;
  queue: number;
  waitMs: number;
}

/** No place came free in time, or too many are waiting already. */
export class BulkheadFull extends Error {
  override readonly name = 'BulkheadFull';
}

/**
 * A place for one call. `release` may be called more than once.
 * Cockatiel's bulkhead knows no waiting time, and an aborted entry of its queue uses up the wake-up meant for the next one.
 * So an entry that gave up stays in the queue and returns at once when its turn comes, which wakes the next.
 */
export class Bulkhead {
  private readonly policy;

  constructor(private readonly settings: BulkheadSettings) {
    this.policy = bulkhead(settings.calls, settings.queue);
  }

  /** @throws BulkheadFull */
  async enter(): Promise<() => void> {
    return new Promise((resolve, reject) => {
      let gaveUp = false;
      let timer: NodeJS.Timeout | undefined;
      const giveUp = () => {
        gaveUp = true;
        reject(new BulkheadFull('no place came free in time'));
      };
      // A free place is taken before `execute` returns, so the timer is only made for those that wait.
      let entered = false;
      this.policy
        .execute(() => {
          if (gaveUp) return;
          entered = true;
          clearTimeout(timer);
          return new Promise<void>((release) => resolve(release));
        })
        .catch(() => {
          clearTimeout(timer);
          reject(new BulkheadFull('too many calls are waiting'));
        });
      if (!entered) timer = setTimeout(giveUp, this.settings.waitMs);
    });
  }
}
