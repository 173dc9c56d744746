import { LRUCache } from 'lru-cache';
import type { ConsumptionOutcome, ConsumptionRequest, Intake } from '../../activities/consumption-ports.js';
import { metrics } from '../../telemetry/metrics.js';

/** A workflow that is terminated while its usage is not stored never says so. */
const MAX_PUBLISHING = 10_000;
const PUBLISHING_TTL_MS = 600_000;

interface Batch {
  requests: Map<string, ConsumptionRequest>;
  claimed: boolean;
}

interface Waiting {
  request: ConsumptionRequest;
  batchId: string | null;
  outcome: Promise<ConsumptionOutcome>;
  resolve: (outcome: ConsumptionOutcome) => void;
}

/**
 * Requests between their HTTP handlers and the activities of this process. A request is here from its acceptance to its
 * answer; its batch from the start of the workflow until the workflow needs the requests no more.
 */
export class MemoryIntake implements Intake {
  private readonly waiting = new Map<string, Waiting>();
  private readonly batches = new Map<string, Batch>();
  /** Batches whose usage is not stored yet, and when it was last tried */
  private readonly publishing = new LRUCache<string, true>({ max: MAX_PUBLISHING, ttl: PUBLISHING_TTL_MS });

  get size(): number {
    return this.waiting.size;
  }

  /** Whose workflow has not done with the requests */
  get batchesInProgress(): number {
    return this.batches.size;
  }

  /** Whose workflow has not ended, as far as this process knows */
  get openBatches(): number {
    return this.batches.size + this.publishing.size;
  }

  /** The outcome of a request that waits under this id, if any. */
  find(id: string): Pick<Waiting, 'request' | 'outcome'> | undefined {
    return this.waiting.get(id);
  }

  /** Registers a request; the promise resolves with its outcome and never rejects. */
  accept(request: ConsumptionRequest): Promise<ConsumptionOutcome> {
    let resolve!: (outcome: ConsumptionOutcome) => void;
    const outcome = new Promise<ConsumptionOutcome>((settle) => (resolve = settle));
    this.waiting.set(request.id, { request, batchId: null, outcome, resolve });
    metrics.inFlight.set(this.waiting.size);
    return outcome;
  }

  open(batchId: string, requests: readonly ConsumptionRequest[]): void {
    this.batches.set(batchId, { requests: new Map(requests.map((request) => [request.id, request])), claimed: false });
    for (const request of requests) {
      const entry = this.waiting.get(request.id);
      if (entry) entry.batchId = batchId;
    }
  }

  claim(batchId: string): ConsumptionRequest[] | null {
    const batch = this.batches.get(batchId);
    if (!batch) return null;
    batch.claimed = true;
    return [...batch.requests.values()];
  }

  /** Forgets a batch whose workflow could not be started. False when the workflow has begun all the same. */
  giveUp(batchId: string): boolean {
    const batch = this.batches.get(batchId);
    if (!batch || batch.claimed) return false;
    this.batches.delete(batchId);
    return true;
  }

  isWaiting(id: string): boolean {
    return this.waiting.has(id);
  }

  answer(id: string, outcome: ConsumptionOutcome): void {
    const entry = this.waiting.get(id);
    if (!entry) return;
    this.waiting.delete(id);
    if (entry.batchId !== null) this.batches.get(entry.batchId)?.requests.delete(id);
    metrics.inFlight.set(this.waiting.size);
    entry.resolve(outcome);
  }

  finish(batchId: string): void {
    this.batches.delete(batchId);
  }

  publish(batchId: string): void {
    this.finish(batchId);
    this.publishing.set(batchId, true);
  }

  published(batchId: string): void {
    this.publishing.delete(batchId);
  }
}
