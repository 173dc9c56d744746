import { ExponentialBackoff, handleAll, retry } from 'cockatiel';
import type { ConsumptionLedger, ConsumptionRequest, ConsumptionRow } from '../../activities/consumption-ports.js';
import type { UsageSink } from '../../activities/ports.js';
import type { ErrorCode } from '../../contracts/errors.js';
import { GroupCommit } from '../../domain/group-commit.js';
import type { Logger } from '../../telemetry/log.js';
import { rememberTrace, tracedBatch } from '../../telemetry/tracing.js';

const MAX_ITEMS = 500;
/** How long an answer waits for its refusal to be recorded; recording goes on after it. */
const PATIENCE_MS = 500;
/** Refusals that wait for the stores to come back; with the retries, about five minutes' worth of an outage. */
const MAX_BACKLOG = 10_000;
const MAX_TRIES = 60;
const MAX_PAUSE_MS = 5_000;

/**
 * Records refusals that needed no workflow, many at a time. The usage event goes first and the row second: a crash between
 * them leaves an event of a refusal that nobody was told of, never a refusal without its event.
 */
export class RefusalRecorder {
  private readonly commits: GroupCommit<ConsumptionRow, void>;
  private backlog = 0;
  private readonly tries = retry(handleAll, {
    maxAttempts: MAX_TRIES,
    backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: MAX_PAUSE_MS }),
  }).dangerouslyUnref();

  constructor(
    private readonly ledger: Pick<ConsumptionLedger, 'recordRefusals'>,
    private readonly usage: UsageSink,
    private readonly log: Logger,
  ) {
    this.commits = new GroupCommit({
      write: (rows) => tracedBatch('record refusals', rows, { attributes: { 'leaky.batch.items': rows.length } }, () => this.write(rows)),
      lanes: 1,
      maxItems: MAX_ITEMS,
    });
  }

  /** Resolves when the refusal is recorded, or soon: it stands whether or not the stores are there to record it. */
  async record(request: ConsumptionRequest, code: ErrorCode, detail: string): Promise<void> {
    const now = new Date();
    const recorded = this.store({
      ...request,
      workflowId: null,
      state: 'REFUSED',
      charged: 0,
      outcomeCode: code,
      detail,
      attempts: 0,
      answer: null,
      createdAt: now,
      decidedAt: now,
    });
    let timer: NodeJS.Timeout | undefined;
    const soon = new Promise<void>((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)));
    await Promise.race([recorded, soon]);
    clearTimeout(timer);
  }

  /** Never rejects. */
  private async store(row: ConsumptionRow): Promise<void> {
    rememberTrace(row);
    try {
      if (this.backlog >= MAX_BACKLOG) throw new Error(`${MAX_BACKLOG} refusals wait to be recorded already`);
      this.backlog++;
      await this.tries.execute(() => this.commits.submit(row)).finally(() => this.backlog--);
    } catch (error) {
      this.log.error(
        { err: error, consumptionId: row.id, correlationId: row.correlationId, code: row.outcomeCode },
        'a refusal could not be recorded',
      );
    }
  }

  private async write(rows: ConsumptionRow[]): Promise<void[]> {
    await this.usage.publish(
      rows.map((row) => ({
        id: row.id,
        timestamp: (row.decidedAt ?? row.createdAt).toISOString(),
        provider: row.provider,
        userId: row.userId,
        orgId: row.orgId,
        tokens: row.tokens,
        allowed: false,
        reason: row.outcomeCode,
        requestId: row.correlationId,
        tag: row.tag,
      })),
    );
    await this.ledger.recordRefusals(rows);
    return rows.map(() => undefined);
  }
}
