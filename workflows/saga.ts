import { ActivityFailure, ApplicationFailure, CancellationScope, TimeoutFailure, condition, rootCause } from '@temporalio/workflow';
import { STORE_AWAY } from '../contracts/temporal.js';

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
/** The server takes 400 bytes of a summary, encrypted; more would fail the workflow task. */
const SUMMARY_CHARACTERS = 150;

interface Failure {
  /** Why the last attempt failed */
  error: string;
  /** A store of ours did not answer */
  outage: boolean;
}

/**
 * Runs steps that have to happen, for as long as it takes. A step whose attempts are used up is parked: `onChange` makes that
 * visible, then the step waits for `retryNow` or a timer (1 min, doubling up to 1 h) and is tried again; where an outage of our
 * stores stopped it, also for the stores to be back. No failure is dropped: it is either overcome or shown.
 */
export class Persistence {
  private retryRequested = false;
  private parkedOn: SureStep | null = null;

  /** @param storesBack resolves when our stores answer; null in purchases from before there was such a step */
  constructor(
    private readonly onChange: (parked: Parked | null) => Promise<void>,
    private readonly storesBack: (() => Promise<void>) | null,
  ) {}

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
      let wokenByStores = false;
      for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
        const failure = await this.attempt(step);
        if (failure === null) break;
        // Stores that answer and still refuse the step would wake it in a circle: after such a waking the timer has its turn.
        wokenByStores = await this.park(step, failure, waitMs, failure.outage && !wokenByStores);
      }
      if (!this.parkedOn) return;
      this.parkedOn = null;
      await this.onChange(null);
    });
  }

  private async attempt(step: SureStep): Promise<Failure | null> {
    try {
      await step.run();
      return null;
    } catch (error) {
      // Anything else is a fault in the workflow's own code: it fails the workflow task, visibly, until a fix is deployed.
      if (!(error instanceof ActivityFailure)) throw error;
      const { cause } = error;
      const outage = cause instanceof TimeoutFailure || (cause instanceof ApplicationFailure && cause.type === STORE_AWAY);
      return { error: rootCause(error) ?? error.message, outage };
    }
  }

  /** @returns whether it was the stores that ended the wait */
  private async park(step: SureStep, { error }: Failure, waitMs: number, outage: boolean): Promise<boolean> {
    this.retryRequested = false;
    this.parkedOn = step;
    await this.onChange({ step, error, nextTryAt: new Date(Date.now() + waitMs).toISOString() });
    const summary = asciiOf(`Parked: cannot ${step.name}: ${error}`);
    return CancellationScope.cancellable(async () => {
      let back = false;
      // Its end by cancellation, below, is its normal one; the timer does without it.
      if (outage && this.storesBack)
        this.storesBack().then(
          () => (back = true),
          () => undefined,
        );
      await condition(() => this.retryRequested || back, waitMs, { summary });
      CancellationScope.current().cancel();
      return back;
    });
  }
}

/** A character is a byte then. */
const asciiOf = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, SUMMARY_CHARACTERS);

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
