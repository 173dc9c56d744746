import { z } from 'zod';
import { count, type Env } from './fields.js';

export const schema = {
  LEAKY_BATCH_MAX_ITEMS: count(250).describe('Consumptions that share one workflow at most'),
  LEAKY_BATCH_MAX_BYTES: count(1_048_576).describe('Bytes of the requests that share one workflow at most'),
  LEAKY_BATCH_STARTS_IN_FLIGHT: count(1).describe('More starts at a time make smaller batches, which cost more than they save'),
  LEAKY_BATCH_PACE_MS: count(40, 0).describe(
    'From one start to the next while a batch is in progress, in milliseconds: fewer, larger batches',
  ),
  LEAKY_CONSUMPTIONS_WORKING: count(512).describe(
    'Consumptions that wait for this process, not for their provider, before more are turned away unread',
  ),
  LEAKY_CONSUMPTIONS_IN_FLIGHT: count(2_000).describe('Accepted consumptions in progress in one process before 503'),
  LEAKY_CALLER_SHARE: z.coerce
    .number()
    .gt(0)
    .max(1)
    .default(0.25)
    .describe('The part of each of these, and of LEAKY_PROVIDER_BULKHEAD, that one caller (user, or organisation of its key) may have'),
  LEAKY_WAITING_PER_KEY: count(4, 0).describe(
    'Repeats of a consumption that may wait for its outcome under their Idempotency-Key; the others get 409 at once',
  ),
  LEAKY_BATCH_SLOTS: count(1_000, 10).describe('Batches that a worker carries at a time; it keeps twice as many workflows in memory'),
};

export const shape = (env: Env<typeof schema>) => ({
  consumption: {
    batchMaxItems: env.LEAKY_BATCH_MAX_ITEMS,
    batchMaxBytes: env.LEAKY_BATCH_MAX_BYTES,
    startsInFlight: env.LEAKY_BATCH_STARTS_IN_FLIGHT,
    paceMs: env.LEAKY_BATCH_PACE_MS,
    maxWorking: env.LEAKY_CONSUMPTIONS_WORKING,
    maxInFlight: env.LEAKY_CONSUMPTIONS_IN_FLIGHT,
    callerShare: env.LEAKY_CALLER_SHARE,
    waitingPerKey: env.LEAKY_WAITING_PER_KEY,
    batchSlots: env.LEAKY_BATCH_SLOTS,
  },
});
