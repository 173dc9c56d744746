import { ActivityFailure, CancellationScope, condition, rootCause } from '@temporalio/workflow';

/** A step that has to happen. `run` may be repeated; it gives up after a few attempts, `insist` does not. */
export interface SureStep {
  /** In an operator's words: "release the payment" */
  name: string;
  /** What an operator should look at when it is stuck */
  remedy: string;
  run(): Promise<unknown>;
}

export interface Parked {
  step: SureStep;
  /** Why the last attempt failed */
  error: string;
  /** ISO-8601 UTC: when it is tried again without a signal */
  nextTryAt: string;
}

const FIRST_WAIT_MS = 60_000;
const LONGEST_WAIT_MS = 3_600_000;

/**
 * Runs steps that have to happen, for as long as it takes. A step whose attempts are used up is parked: `onChange` makes that
 * visible, then the step waits for `retryNow` or a timer (1 min, doubling up to 1 h) and is tried again.
 * No failure is dropped: it is either overcome or shown.
 */
export class Persistence {
  private retryRequested = false;
  private parkedOn: SureStep | null = null;

  constructor(private readonly onChange: (parked: Parked | null) => Promise<void>) {}

  get isParked(): boolean {
    return this.parkedOn !== null;
  }

  /** Has no effect while nothing is parked: the attempts are under way then. */
  retryNow(): void {
    if (this.parkedOn) this.retryRequested = true;
  }

  /** Cannot be cancelled. Returns when the step has succeeded. */
  insist(step: SureStep): Promise<void> {
    return CancellationScope.nonCancellable(async () => {
      for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
        const error = await this.attempt(step);
        if (error === null) break;
        await this.park(step, error, waitMs);
      }
      if (!this.parkedOn) return;
      this.parkedOn = null;
      await this.onChange(null);
    });
  }

  private async attempt(step: SureStep): Promise<string | null> {
    try {
      await step.run();
      return null;
    } catch (error) {
      // Anything else is a fault in the workflow's own code: it fails the workflow task, visibly, until a fix is deployed.
      if (!(error instanceof ActivityFailure)) throw error;
      return rootCause(error) ?? error.message;
    }
  }

  private async park(step: SureStep, error: string, waitMs: number): Promise<void> {
    this.retryRequested = false;
    this.parkedOn = step;
    await this.onChange({ step, error, nextTryAt: new Date(Date.now() + waitMs).toISOString() });
    await condition(() => this.retryRequested, waitMs);
  }
}

/**
 * Remembers how to undo what has been done. Register a compensation BEFORE the step it undoes: a step whose outcome is not known may have
 * happened, so compensations must also be right when there is nothing to undo.
 */
export class Saga {
  private readonly compensations: SureStep[] = [];

  constructor(private readonly persistence: Persistence) {}

  /** Names of what is still to be undone, newest last. */
  get pending(): string[] {
    return this.compensations.map(({ name }) => name);
  }

  /** Answers a function that takes the registration back, for when the step surely had no effect. */
  compensateWith(step: SureStep): () => void {
    this.compensations.push(step);
    return () => {
      const index = this.compensations.indexOf(step);
      if (index >= 0) this.compensations.splice(index, 1);
    };
  }

  /** Undoes everything, newest first, each to its end. Cannot be cancelled. */
  async compensate(): Promise<void> {
    for (let step = this.compensations.at(-1); step; step = this.compensations.at(-1)) {
      await this.persistence.insist(step);
      this.compensations.pop();
    }
  }
}
