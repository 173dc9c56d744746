import { NoPlace, SharedPlaces, type SharedPlacesOptions } from '../../platform/shared-places.js';

/**
 * Requests that wait for what another one comes to: repeats under an Idempotency-Key. They cost nothing meanwhile but their
 * connection, so they are bounded, a few for each key and a share of all for each caller, and count as work for nobody.
 */
export class KeyWaiters {
  private readonly places: SharedPlaces;
  private readonly perKey = new Map<string, number>();

  constructor(
    options: SharedPlacesOptions,
    private readonly maxPerKey: number,
  ) {
    this.places = new SharedPlaces(options);
  }

  get size(): number {
    return this.places.inUse;
  }

  sizeOf(caller: string): number {
    return this.places.heldBy(caller);
  }

  /** What `until` comes to; null at once, and `until` is not called, when as many wait as may. */
  async wait<T>(key: string, caller: string, until: () => Promise<T>): Promise<T | null> {
    const waiting = this.perKey.get(key) ?? 0;
    if (waiting >= this.maxPerKey) return null;
    let giveBack: () => void;
    try {
      giveBack = this.places.take(caller);
    } catch (error) {
      if (error instanceof NoPlace) return null;
      throw error;
    }
    this.perKey.set(key, waiting + 1);
    try {
      return await until();
    } finally {
      giveBack();
      const left = (this.perKey.get(key) ?? 1) - 1;
      if (left > 0) this.perKey.set(key, left);
      else this.perKey.delete(key);
    }
  }
}
