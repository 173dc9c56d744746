/**
 * Group commit, as a database log does it: while a write is in flight, everything that arrives shares the next one. Alone,
 * an item is written at once; under load the cost of a write is divided by the batch.
 */
export interface GroupCommitOptions<Item, Result> {
  /** Writes a batch; answers one result per item, in order. A rejection reaches every submitter of the batch. */
  write: (items: Item[]) => Promise<Result[]>;
  /** Writes in flight at a time. More lanes mean smaller batches. */
  lanes: number;
  maxItems: number;
  /** At least so long from the beginning of a write to the next one on its lane, in milliseconds; told how long the write took */
  pace?: (tookMs: number) => number;
  maxBytes?: number;
  bytesOf?: (item: Item) => number;
}

const LONGEST_PACE_MS = 250;

/** A pace in proportion to what the last write took, `leastMs` at least: whatever is busy gets fewer and larger writes. */
export const inProportion =
  (factor: number, leastMs: number) =>
  (tookMs: number): number =>
    Math.max(leastMs, Math.min(tookMs * factor, LONGEST_PACE_MS));

interface Entry<Item, Result> {
  item: Item;
  bytes: number;
  resolve: (result: Result) => void;
  reject: (reason: unknown) => void;
}

export class GroupCommit<Item, Result> {
  private queue: Entry<Item, Result>[] = [];
  private inFlight = 0;
  private scheduled = false;

  constructor(private readonly options: GroupCommitOptions<Item, Result>) {}

  /** Items that wait for a write to begin. */
  get queued(): number {
    return this.queue.length;
  }

  submit(item: Item): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.queue.push({ item, bytes: this.options.bytesOf?.(item) ?? 0, resolve, reject });
      this.schedule();
    });
  }

  /** Waits for the end of the current turn of the event loop: requests that arrived together share a write. */
  private schedule(): void {
    if (this.scheduled || this.inFlight >= this.options.lanes) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    while (this.inFlight < this.options.lanes && this.queue.length > 0) {
      this.inFlight++;
      void this.run(this.take());
    }
  }

  private async run(batch: Entry<Item, Result>[]): Promise<void> {
    const began = performance.now();
    try {
      const results = await this.options.write(batch.map((entry) => entry.item));
      batch.forEach((entry, index) => entry.resolve(results[index] as Result));
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    } finally {
      const tookMs = performance.now() - began;
      const pauseMs = (this.options.pace?.(tookMs) ?? 0) - tookMs;
      if (pauseMs > 0) setTimeout(() => this.free(), pauseMs);
      else this.free();
    }
  }

  private free(): void {
    this.inFlight--;
    this.schedule();
  }

  /** At least one item, then as many as fit the bounds. */
  private take(): Entry<Item, Result>[] {
    const { maxItems, maxBytes = Infinity } = this.options;
    let bytes = 0;
    let count = 0;
    for (const entry of this.queue) {
      bytes += entry.bytes;
      if (count > 0 && (count >= maxItems || bytes > maxBytes)) break;
      count++;
    }
    return this.queue.splice(0, count);
  }
}
