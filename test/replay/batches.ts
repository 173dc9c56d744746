import { setTimeout as delay } from 'node:timers/promises';
import { v7 } from 'uuid';
import { createConsumptionActivities } from '../../activities/consumption.js';
import type { ConsumptionLedger, ConsumptionRequest } from '../../activities/consumption-ports.js';
import type { Providers, UsageSink } from '../../activities/ports.js';
import { Settler } from '../../activities/settler.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import type { Temporal } from '../../adapters/temporal/connection.js';
import { MemoryIntake } from '../../api/tokens/intake.js';
import { WORKFLOWS, workflowIds, type ConsumptionBatchResult } from '../../contracts/temporal.js';
import { createLogger } from '../../telemetry/log.js';
import { createWorker } from '../../workers/create-worker.js';

export interface LineOptions {
  database: Database;
  temporal: Temporal;
  taskQueue: string;
  ledger?: (real: ConsumptionLedger) => ConsumptionLedger;
  usage?: (real: UsageSink) => UsageSink;
}

export type Line = Awaited<ReturnType<typeof startLine>>;

/** A consumption worker whose batches are put together by hand, so that each history has exactly the items it is to show. */
export async function startLine({ database, temporal, taskQueue, ...broken }: LineOptions) {
  const realLedger = createConsumptionLedger(database, { enforceQuota: true });
  const ledger = broken.ledger?.(realLedger) ?? realLedger;
  const realUsage = createUsageSink(database);
  const intake = new MemoryIntake();
  const worker = await createWorker({
    connection: temporal.connection,
    namespace: temporal.namespace,
    taskQueue,
    activities: createConsumptionActivities({
      ledger,
      intake,
      settler: new Settler(ledger, intake, createLogger('silent')),
      providers: obedientProviders,
      usage: broken.usage?.(realUsage) ?? realUsage,
    }),
    shutdownGraceMs: 1_000,
  });
  await worker.polled();
  return {
    worker,
    /** Starts a batch whose requests wait in this process; `forgotten` as if they had waited in another one that is dead. */
    async begin(requests: readonly ConsumptionRequest[], { batchId = v7(), forgotten = false } = {}) {
      if (!forgotten) {
        for (const request of requests) void intake.accept(request);
        intake.open(batchId, requests);
      }
      return temporal.client.workflow.start<(batch: object) => Promise<ConsumptionBatchResult>>(WORKFLOWS.consumeTokens, {
        taskQueue,
        workflowId: workflowIds.consumption(batchId),
        args: [{ batchId, consumptionIds: requests.map(({ id }) => id) }],
      });
    },
  };
}

/** Does as the prompt says: fail, take so many milliseconds, or answer at once. Counts nothing, needs no network. */
const obedientProviders: Pick<Providers, 'complete'> = {
  async complete({ provider, messages }, { signal } = {}) {
    const order = messages.at(-1)?.content ?? '';
    if (order === 'fail') return { ok: false, code: 'PROVIDER_FAILED', detail: 'it said 500', attempts: 3 };
    if (order.startsWith('take ')) await delay(Number(order.slice(5)), undefined, { signal });
    return { ok: true, attempts: 1, answer: { id: 'answer', provider, model: 'm', message: 'hello', usage: null } };
  },
};
