import { CancellationScope, proxyLocalActivities } from '@temporalio/workflow';
import type { ConsumptionActivities } from '../activities/consumption.js';
import type { ConsumptionBatch, ConsumptionBatchResult } from '../contracts/temporal.js';

// Local activities: their results ride on the workflow task that is open anyway, so a batch costs the server one task.
const { reserveTokens } = proxyLocalActivities<ConsumptionActivities>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '100ms', backoffCoefficient: 2, maximumAttempts: 4 },
});
const { callProviders, releaseHolds, publishUsage } = proxyLocalActivities<ConsumptionActivities>({
  startToCloseTimeout: '2m',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' },
});

/**
 * One batch of consumptions: hold quota, call the providers, charge or release, record the usage.
 *
 * Accepted means the row is HELD. From there the row ends SETTLED or RELEASED exactly once, whatever dies: each step finds
 * in the rows what an earlier execution did. Cancelling the workflow does nothing, as it would leave holds behind.
 */
export function consumeTokens(batch: ConsumptionBatch): Promise<ConsumptionBatchResult> {
  return CancellationScope.nonCancellable(async () => {
    const reserved = await tryReserve(batch);
    const ended =
      reserved === null ? await releaseHolds(batch) : reserved.held > 0 ? await callProviders(batch) : { settled: 0, released: 0 };
    const { held, refused, abandoned } = reserved ?? {
      held: ended.released,
      refused: 0,
      abandoned: batch.consumptionIds.length - ended.released,
    };
    if (held + refused > 0) await publishUsage(batch);
    return { held, refused, abandoned, settled: ended.settled, released: ended.released };
  });
}

/** null when it failed: whether it held anything is unknown then, and whatever it held must be released. */
async function tryReserve(batch: ConsumptionBatch) {
  try {
    return await reserveTokens(batch);
  } catch {
    return null;
  }
}
