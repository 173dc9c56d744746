import { ExponentialBackoff, handleAll, retry } from 'cockatiel';
import { GroupCommit, inProportion } from '../domain/group-commit.js';
import type { Logger } from '../telemetry/log.js';
import { rememberTrace, tracedBatch } from '../telemetry/tracing.js';
import type { ConsumptionLedger, ConsumptionOutcome, HoldState, Intake, SettledRow, Settlement } from './consumption-ports.js';

const MAX_ITEMS = 500;
/** From one statement to the next: the calls of a batch end within a few milliseconds of each other and share one */
const PACE_MS = 10;
/** A busy database gets fewer and larger statements: the next one waits so many times as long as the last one took */
const REST_FACTOR = 3;

/** What became of one item of a statement: `row` null when the statement ended no row of that id. */
type Written = { row: SettledRow | null } | { fault: unknown };

/**
 * Ends holds as their provider calls end, many with one statement, and only then answers the waiting callers: what a caller
 * was told is committed. Shared by all batches of the process.
 */
export class Settler {
  private readonly commits: GroupCommit<Settlement, Written>;
  private readonly untilWritten = retry(handleAll, {
    maxAttempts: Infinity,
    backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 2_000 }),
  });

  constructor(
    private readonly ledger: ConsumptionLedger,
    private readonly intake: Intake,
    private readonly log: Logger,
  ) {
    this.commits = new GroupCommit({
      write: (items) => tracedBatch('settle', items, { attributes: { 'leaky.batch.items': items.length } }, () => this.write(items)),
      lanes: 1,
      pace: inProportion(REST_FACTOR, PACE_MS),
      maxItems: MAX_ITEMS,
    });
  }

  /**
   * Retries until the ledger answers or `signal` aborts: the provider has been paid by then, so giving up would waste its answer.
   * @returns the state the row is in now
   */
  async settle(settlement: Settlement, signal: AbortSignal): Promise<HoldState> {
    return this.untilWritten.execute(async () => {
      try {
        return await this.attempt(settlement);
      } catch (error) {
        this.log.warn({ err: error, consumptionId: settlement.id, workflowId: settlement.workflowId }, 'settling failed; trying again');
        throw error;
      }
    }, signal);
  }

  private async attempt(settlement: Settlement): Promise<HoldState> {
    rememberTrace(settlement);
    const written = await this.commits.submit(settlement);
    if ('row' in written) return written.row ? this.ended(settlement, written.row) : this.endedBefore(settlement);
    if (settlement.code !== null || !isUnstorable(written.fault)) throw written.fault;
    // No attempt will store this answer, and the hold must not wait for one.
    this.log.error(
      { err: written.fault, consumptionId: settlement.id, workflowId: settlement.workflowId },
      'an answer can not be stored; its hold is released',
    );
    return this.attempt({ ...settlement, charge: 0, code: 'INTERNAL', detail: 'The answer could not be stored', answer: null });
  }

  private ended(settlement: Settlement, row: SettledRow): HoldState {
    this.intake.answer(settlement.id, outcomeOf(settlement, row));
    return row.state;
  }

  /** An earlier execution ended the row, or this one whose answer was lost; the outcome in the row is the one that counts. */
  private async endedBefore(settlement: Settlement): Promise<HoldState> {
    const [row] = await this.ledger.find([settlement.id]);
    if (!row || row.workflowId !== settlement.workflowId) {
      this.intake.answer(settlement.id, { kind: 'foreign' });
      return 'RELEASED';
    }
    if (row.decidedAt === null) throw new Error(`The hold ${row.id} was not ended and is still there`);
    const { outcomeCode: code, detail, answer, decidedAt } = row;
    this.intake.answer(row.id, outcomeOf({ code, detail, answer }, { decidedAt }));
    return row.state;
  }

  private async write(items: Settlement[]): Promise<Written[]> {
    try {
      const ended = new Map((await this.ledger.settle(items)).map((row) => [row.id, row]));
      return items.map((item) => ({ row: ended.get(item.id) ?? null }));
    } catch (fault) {
      if (items.length === 1 || !isAboutContent(fault)) return items.map(() => ({ fault }));
      // One item that the database refuses must not keep the others on hold.
      this.log.warn({ err: fault, items: items.length }, 'settling a batch failed; settling its items one by one');
      const alone: Written[] = [];
      for (const item of items) alone.push(...(await this.write([item])));
      return alone;
    }
  }
}

/** The SQLSTATE of an error that PostgreSQL reported; null for a broken connection and the like. */
function sqlStateOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9FHPX][0-9A-Z]{4}$/.test(code) ? code : null;
}

/** Classes that say that the server is not well (connection, resources, intervention, system, lock): all items share that. */
const SHARED_FAULTS = ['08', '25', '40', '53', '55', '57', '58'];
const isAboutContent = (error: unknown): boolean => {
  const state = sqlStateOf(error);
  return state !== null && !SHARED_FAULTS.includes(state.slice(0, 2));
};

/** Data exceptions and exceeded limits: trying again changes nothing. */
const isUnstorable = (error: unknown): boolean => ['22', '54'].includes(sqlStateOf(error)?.slice(0, 2) ?? '');

function outcomeOf(
  settlement: Pick<Settlement, 'code' | 'detail' | 'answer' | 'retryAfterSeconds'>,
  row: { decidedAt: Date },
): ConsumptionOutcome {
  return settlement.code === null && settlement.answer
    ? { kind: 'settled', answer: settlement.answer, decidedAt: row.decidedAt }
    : {
        kind: 'ended',
        code: settlement.code ?? 'INTERNAL',
        detail: settlement.detail ?? 'provider call failed',
        ...(settlement.retryAfterSeconds !== undefined && { retryAfterSeconds: settlement.retryAfterSeconds }),
      };
}
