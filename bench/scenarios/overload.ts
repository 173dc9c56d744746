import { median } from '../report.js';
import type { Scenario } from './scenario.js';
import { ours, providerTakes } from './variants.js';

const TIMES = 3;
/** More than the service lets in, or nothing would ever be refused */
const CONNECTIONS = 2_000;

/**
 * The peak is what the service does for as many callers as saturate it; then three times as many requests come at fixed times,
 * whether or not it keeps up.
 */
export const overload: Scenario = {
  name: 'overload',
  description: `${TIMES} × the load it can take: goodput against its peak, refusals, latency of the accepted`,
  async run(stage) {
    const scene = await stage.scene('limited');
    const { quick } = stage.extent;
    for (const providerMs of quick ? [0] : [50, 0]) {
      const provider = await providerTakes(stage, providerMs);
      const peak = await stage.measure({
        scenario: 'overload: peak',
        provider,
        concurrency: quick ? 16 : 400,
        variants: [ours('leaky', scene)],
      });
      const most = median((peak.get('leaky') ?? []).map((run) => run.load.opsPerSecond));
      const runs = await stage.measure({
        scenario: `overload: ${TIMES}×`,
        provider,
        concurrency: CONNECTIONS,
        rate: Math.round(most * TIMES),
        variants: [ours('leaky', scene)],
      });
      for (const { load } of runs.get('leaky') ?? []) {
        const refused = Object.values(load.refused).reduce((sum, count) => sum + count, 0);
        stage.say(
          `  goodput ${((100 * load.opsPerSecond) / most).toFixed(0)} % of the peak; ${refused} refused within ${load.refusedP99Ms.toFixed(0)} ms (p99), ` +
            `${load.withoutRetryAfter} of the 503 without Retry-After; accepted: p99 ${load.p99Ms.toFixed(0)} ms`,
        );
      }
    }
  },
};
