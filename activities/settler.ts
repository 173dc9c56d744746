import { ExponentialBackoff, handleAll, retry } from 'cockatiel';
import { GroupCommit } from '../domain/group-commit.js';
import type { Logger } from '../telemetry/log.js';
import type { ConsumptionLedger, ConsumptionOutcome, HoldState, Intake, SettledRow, Settlement } from './consumption-ports.js';

const MAX_ITEMS = 500;

/**
 * Ends holds as their provider calls end, many with one statement, and only then answers the waiting callers: what a caller
 * was told is committed. Shared by all batches of the process.
 */
export class Settler {
  private readonly commits: GroupCommit<Settlement, SettledRow | null>;

  constructor(
    private readonly ledger: ConsumptionLedger,
    private readonly intake: Intake,
    private readonly log: Logger,
  ) {
    this.commits = new GroupCommit({ write: (items) => this.write(items), lanes: 2, maxItems: MAX_ITEMS });
  }

  /**
   * Retries until the ledger answers or `signal` aborts: the provider has been paid by then, so giving up would waste its answer.
   * @returns the state the row is in now
   */
  async settle(settlement: Settlement, signal: AbortSignal): Promise<HoldState> {
    const policy = retry(handleAll, { maxAttempts: Infinity, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 2_000 }) });
    policy.onFailure(({ reason }) =>
      this.log.warn({ err: 'error' in reason ? reason.error : undefined, id: settlement.id }, 'settling failed; trying again'),
    );
    const row = await policy.execute(() => this.commits.submit(settlement), signal);
    if (row) {
      this.intake.answer(settlement.id, outcomeOf(settlement, row));
      return row.state;
    }
    return this.alreadyEnded(settlement);
  }

  /** An earlier execution ended the row; its outcome is the one that counts. */
  private async alreadyEnded(settlement: Settlement): Promise<HoldState> {
    const [row] = await this.ledger.find([settlement.id]);
    if (!row || row.workflowId !== settlement.workflowId) return 'RELEASED';
    if (row.decidedAt)
      this.intake.answer(
        row.id,
        outcomeOf({ ...settlement, code: row.outcomeCode, detail: row.detail, answer: row.answer }, { decidedAt: row.decidedAt }),
      );
    return row.state;
  }

  private async write(items: Settlement[]): Promise<(SettledRow | null)[]> {
    try {
      const ended = new Map((await this.ledger.settle(items)).map((row) => [row.id, row]));
      return items.map((item) => ended.get(item.id) ?? null);
    } catch (error) {
      if (items.length === 1) throw error;
      // One item that the database refuses must not keep the others on hold.
      this.log.warn({ err: error, items: items.length }, 'settling a batch failed; settling its items one by one');
      const alone = await Promise.allSettled(items.map((item) => this.ledger.settle([item])));
      const failed = alone.find((result) => result.status === 'rejected');
      if (failed && alone.every((result) => result.status === 'rejected')) throw failed.reason;
      return alone.map((result) => (result.status === 'fulfilled' ? (result.value[0] ?? null) : null));
    }
  }
}

function outcomeOf(settlement: Settlement, row: { decidedAt: Date }): ConsumptionOutcome {
  return settlement.code === null && settlement.answer
    ? { kind: 'settled', answer: settlement.answer, decidedAt: row.decidedAt }
    : { kind: 'ended', code: settlement.code ?? 'INTERNAL', detail: settlement.detail ?? 'provider call failed' };
}
