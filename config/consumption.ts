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
};

export const shape = (env: Env<typeof schema>) => ({
  consumption: {
    batchMaxItems: env.LEAKY_BATCH_MAX_ITEMS,
    batchMaxBytes: env.LEAKY_BATCH_MAX_BYTES,
    startsInFlight: env.LEAKY_BATCH_STARTS_IN_FLIGHT,
    paceMs: env.LEAKY_BATCH_PACE_MS,
    maxWorking: env.LEAKY_CONSUMPTIONS_WORKING,
    maxInFlight: env.LEAKY_CONSUMPTIONS_IN_FLIGHT,
  },
});
