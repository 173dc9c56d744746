import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';

/** Work that a time limit, a message or a cancellation of the workflow can stop in the middle, with a cause that is kept. */
export class Interruptible<Cause> {
  private readonly scope = new CancellationScope();
  private cause: Cause | null = null;

  /** The first cause counts. Has no effect on work that is done. */
  interrupt(cause: Cause): void {
    if (this.cause !== null) return;
    this.cause = cause;
    this.scope.cancel();
  }

  /**
   * @param limit its timer runs from now; `cause` is asked for when it fires
   * @param cancelled the cause when the workflow itself was cancelled
   * @returns what `work` returned, or the cause that stopped it; other failures of `work` are thrown
   */
  async run<T>(limit: { ms: number; cause: () => Cause }, cancelled: Cause, work: () => Promise<T>): Promise<T | Cause> {
    const timer = new CancellationScope();
    const expiry = timer.run(async () => {
      await sleep(limit.ms, { summary: 'Limit of the purchase' });
      this.interrupt(limit.cause());
    });
    // The timer is cancelled when the work ends first; that is its normal end.
    expiry.catch((error: unknown) => {
      if (!isCancellation(error)) throw error;
    });
    try {
      return await this.scope.run(work);
    } catch (error) {
      if (isCancellation(error)) return this.cause ?? cancelled;
      throw error;
    } finally {
      timer.cancel();
    }
  }
}
