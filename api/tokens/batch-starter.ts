import type { Client } from '@temporalio/client';
import type { ConsumptionRequest } from '../../activities/consumption-ports.js';
import { TASK_QUEUES, WORKFLOWS, workflowIds, type ConsumptionBatch } from '../../contracts/temporal.js';
import { GroupCommit, inProportion } from '../../domain/group-commit.js';
import type { Logger } from '../../telemetry/log.js';
import { metrics } from '../../telemetry/metrics.js';
import { rememberTrace, tracedBatch } from '../../telemetry/tracing.js';
import type { MemoryIntake } from './intake.js';
import { newId } from './new-id.js';

const START_DEADLINE_MS = 5_000;
/** A start that takes long tells of a busy machine or engine, which fewer and larger batches relieve: the next one waits so many times as long */
const REST_FACTOR = 2;

interface Submitted {
  request: ConsumptionRequest;
  /** performance.now() */
  at: number;
}

export interface BatchStarterOptions {
  startsInFlight: number;
  /** From one start to the next while a batch is in progress: a lone caller never waits, many share fewer workflows */
  paceMs: number;
  maxItems: number;
  maxBytes: number;
  /** Batches that the worker of this process carries at a time */
  slots: number;
}

const CROWDED_FROM = 0.5;
const CROWDED_PACE_MS = 250;

/**
 * Batches that wait, for a slow provider or for the usage store, each have a slot of the worker. When half of the slots are
 * taken, batches become fewer and larger, twice as slow to start with each further eighth: calls wait a little, and none for a slot.
 *
 * @param taken part of the slots, from 0 to 1
 */
export const crowdedPaceMs = (taken: number): number =>
  taken < CROWDED_FROM ? 0 : CROWDED_PACE_MS * 2 ** Math.floor((taken - CROWDED_FROM) * 8);

/**
 * Starts one workflow for all requests that arrived while the last start was in flight. The worker of this process gets the
 * first workflow task with the answer to the start (eager start), so a batch begins without a poll.
 */
export class BatchStarter {
  private readonly commits: GroupCommit<Submitted, void>;
  /** performance.now() of the last start that the engine did not take */
  private failedAt = -Infinity;

  constructor(
    private readonly client: Client,
    private readonly intake: MemoryIntake,
    private readonly log: Logger,
    options: BatchStarterOptions,
  ) {
    const resting = inProportion(REST_FACTOR, options.paceMs);
    this.commits = new GroupCommit({
      write: (submitted) => this.write(submitted),
      lanes: options.startsInFlight,
      pace: (tookMs) => Math.max(intake.batchesInProgress > 0 ? resting(tookMs) : 0, crowdedPaceMs(intake.openBatches / options.slots)),
      maxItems: options.maxItems,
      maxBytes: options.maxBytes,
      bytesOf: ({ request }) => 300 + (request.prompt?.length ?? 0),
    });
  }

  /** The request must have been accepted by the intake, which learns the outcome. */
  submit(request: ConsumptionRequest): void {
    rememberTrace(request);
    void this.commits.submit({ request, at: performance.now() });
  }

  /** Whoever waited in vain for a start to end has waited long enough: another one would cost them its deadline again. */
  private async write(submitted: Submitted[]): Promise<void[]> {
    const stranded = submitted.filter(({ at }) => at < this.failedAt);
    if (stranded.length > 0) this.refuse(stranded.map(({ request }) => request));
    const requests = submitted.filter(({ at }) => at >= this.failedAt).map(({ request }) => request);
    if (requests.length > 0)
      await tracedBatch('batch', requests, { attributes: { 'leaky.batch.items': requests.length } }, () => this.start(requests));
    return submitted.map(() => undefined);
  }

  private async start(requests: ConsumptionRequest[]): Promise<void> {
    const batchId = newId();
    const batch: ConsumptionBatch = { batchId, consumptionIds: requests.map((request) => request.id) };
    this.intake.open(batchId, requests);
    metrics.batchItems.observe(requests.length);
    try {
      await inTime((deadline) =>
        this.client.withDeadline(deadline, () =>
          this.client.workflow.start(WORKFLOWS.consumeTokens, {
            taskQueue: TASK_QUEUES.consumption,
            workflowId: workflowIds.consumption(batchId),
            args: [batch],
            requestEagerStart: true,
          }),
        ),
      );
    } catch (error) {
      this.failedAt = performance.now();
      this.fail(batchId, requests, error);
    }
  }

  /**
   * A start that failed here may have succeeded at the server. Nothing is lost either way: a batch that was given up finds
   * neither rows nor requests and ends as abandoned, and one that was claimed already is carried to its end.
   */
  private fail(batchId: string, requests: readonly ConsumptionRequest[], error: unknown): void {
    if (!this.intake.giveUp(batchId)) {
      this.log.info(
        { err: error, batchId, workflowId: workflowIds.consumption(batchId) },
        'the start of a batch failed after its workflow had begun',
      );
      return;
    }
    this.log.warn(
      { err: error, batchId, workflowId: workflowIds.consumption(batchId), items: requests.length },
      'the workflow engine took no batch',
    );
    this.refuse(requests);
  }

  private refuse(requests: readonly ConsumptionRequest[]): void {
    for (const { id } of requests) {
      this.intake.answer(id, {
        kind: 'ended',
        code: 'ENGINE_UNAVAILABLE',
        detail: 'The workflow engine cannot take work right now; nothing was charged',
      });
    }
  }
}

/**
 * The client's deadline ends a call that hangs; but a connection that is refused is tried again for ten seconds whatever it says.
 * @throws Error at the deadline
 */
async function inTime(start: (deadline: number) => Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${START_DEADLINE_MS} ms`)), START_DEADLINE_MS);
  });
  const started = start(Date.now() + START_DEADLINE_MS);
  // Should it fail after its time, nobody waits for it any more.
  started.catch(() => undefined);
  await Promise.race([started, late]).finally(() => clearTimeout(timer));
}
