import { count, type Env } from './fields.js';

export const schema = {
  LEAKY_RETENTION_DAYS: count(90).describe('Age at which usage events and answers are deleted'),
  LEAKY_RECONCILE_SECONDS: count(30).describe('How often the ledger is reconciled'),
  LEAKY_ROLLUP_SECONDS: count(15).describe('How often events are added to the roll-ups'),
};

export const shape = (env: Env<typeof schema>) => ({
  schedules: {
    retentionDays: env.LEAKY_RETENTION_DAYS,
    reconcileSeconds: env.LEAKY_RECONCILE_SECONDS,
    rollupSeconds: env.LEAKY_ROLLUP_SECONDS,
  },
});
