import { createConsumptionActivities } from '../activities/consumption.js';
import { Settler } from '../activities/settler.js';
import { createConsumptionLedger } from '../adapters/postgres/ledger.js';
import { MemoryIntake } from '../api/tokens/intake.js';
import { TASK_QUEUES } from '../contracts/temporal.js';
import { consumptionTuning, type RunningWorker } from '../workers/create-worker.js';
import { keepWorker } from '../workers/kept-worker.js';
import type { Resources } from './resources.js';
import { workerPart, type Compose } from './service.js';
import { workerBase } from './temporal.js';

/**
 * Shares the intake with the token service of its process: there the callers of a batch wait. Without one it only takes over
 * the batches of processes that have died.
 */
export async function startConsumptionWorker(resources: Resources, intake: MemoryIntake): Promise<RunningWorker> {
  const { config, log } = resources;
  const temporal = await resources.temporal();
  const ledger = createConsumptionLedger(resources.database(), { enforceQuota: config.flags.quotaEnforcement });
  const worker = await keepWorker(log, {
    ...workerBase(temporal, config),
    taskQueue: TASK_QUEUES.consumption,
    tuning: consumptionTuning(config.consumption.batchSlots),
    activities: createConsumptionActivities({
      ledger,
      settler: new Settler(ledger, intake, log),
      providers: resources.providers(),
      intake,
      usage: resources.events().usage,
    }),
  });
  await worker.polled();
  return worker;
}

export const composeConsumptionWorker: Compose = async (resources) =>
  workerPart(await startConsumptionWorker(resources, new MemoryIntake()));
