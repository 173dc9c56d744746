import type { ConsumptionLedger, ConsumptionRequest, ConsumptionRow } from '../../activities/consumption-ports.js';
import type { UsageSink } from '../../activities/ports.js';
import type { ErrorCode } from '../../contracts/errors.js';
import { GroupCommit } from '../../domain/group-commit.js';
import type { Logger } from '../../telemetry/log.js';

const MAX_ITEMS = 500;

/**
 * Records refusals that needed no workflow, many at a time. The usage event goes first and the row second: a crash between
 * them leaves an event of a refusal that nobody was told of, never a refusal without its event.
 */
export class RefusalRecorder {
  private readonly commits: GroupCommit<ConsumptionRow, void>;

  constructor(
    private readonly ledger: Pick<ConsumptionLedger, 'recordRefusals'>,
    private readonly usage: UsageSink,
    private readonly log: Logger,
  ) {
    this.commits = new GroupCommit({ write: (rows) => this.write(rows), lanes: 1, maxItems: MAX_ITEMS });
  }

  /** Resolves when the refusal is recorded. When the stores are away the refusal stands all the same and is only logged. */
  async record(request: ConsumptionRequest, code: ErrorCode, detail: string): Promise<void> {
    const now = new Date();
    try {
      await this.commits.submit({
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
    } catch (error) {
      this.log.error({ err: error, consumptionId: request.id, code }, 'a refusal could not be recorded');
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
