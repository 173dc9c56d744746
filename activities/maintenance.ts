import { heartbeat } from '@temporalio/activity';
import { PROVIDERS, type ProviderName } from '../contracts/providers.js';
import { anomalySpans, judgeAnomaly } from '../domain/usage.js';
import type { ConsumptionRetention, Progress, UsageHistory, UsageMaintenance } from './ports.js';

export type { Progress };

export interface MaintenanceDependencies {
  usage: UsageMaintenance;
  history: UsageHistory;
  consumptions: ConsumptionRetention;
}

/** One activity works through many bounded transactions, so that histories stay short; it stops at its share of time. */
const SHARE_MS = 10_000;
const FOLD_CHUNK = 20_000;
const CONSUMPTION_CHUNK = 5_000;

export interface UsageAnomaly {
  provider: ProviderName;
  currentTokens: number;
  baselineAverage: number;
  ratio: number;
}

export interface AnomalyScan {
  windowMinutes: number;
  baselineWindows: number;
  thresholdMultiplier: number;
}

export type MaintenanceActivities = ReturnType<typeof createMaintenanceActivities>;

/** All of these are idempotent: a repeated attempt finds less to do. */
export function createMaintenanceActivities({ usage, history, consumptions }: MaintenanceDependencies) {
  return {
    foldUsage: (): Promise<Progress> => work(() => usage.fold(FOLD_CHUNK)),

    /** @param before ISO-8601; whole hours that ended by then go */
    purgeUsage: (before: string): Promise<Progress> =>
      work(async () => {
        const count = await usage.purgeOldest(new Date(before));
        return { count: count ?? 0, done: count === null };
      }),

    purgeConsumptions: (before: string): Promise<Progress> =>
      work(async () => {
        const count = await consumptions.purgeConsumptions(new Date(before), CONSUMPTION_CHUNK);
        return { count, done: count < CONSUMPTION_CHUNK };
      }),

    /** The providers whose last window is an anomaly. `end` (ISO-8601) is exclusive. */
    async findAnomalies(end: string, scan: AnomalyScan): Promise<UsageAnomaly[]> {
      const spans = anomalySpans(Date.parse(end), scan.windowMinutes, scan.baselineWindows);
      const windows = [spans.current, spans.baseline].map(({ from, to }) => ({ from: new Date(from), to: new Date(to) }));
      const found: UsageAnomaly[] = [];
      for (const provider of PROVIDERS) {
        const totals = await history.totals(provider, 'all', windows);
        const currentTokens = totals[0]?.tokens ?? 0;
        const verdict = judgeAnomaly(currentTokens, totals[1]?.tokens ?? 0, scan.baselineWindows, scan.thresholdMultiplier);
        if (verdict.anomaly && verdict.ratio !== null) {
          found.push({ provider, currentTokens, baselineAverage: verdict.baselineAverage, ratio: verdict.ratio });
        }
      }
      return found;
    },
  };
}

async function work(step: () => Promise<Progress>): Promise<Progress> {
  const end = Date.now() + SHARE_MS;
  let count = 0;
  for (;;) {
    const chunk = await step();
    count += chunk.count;
    if (chunk.done || Date.now() >= end) return { count, done: chunk.done };
    heartbeat(count);
  }
}
