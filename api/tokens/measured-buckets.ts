import { metrics } from '../../telemetry/metrics.js';
import type { BucketStore } from './ports.js';

/** The same store, which tells how long it takes and what it decides. */
export function measured(store: BucketStore): BucketStore {
  const admitted = metrics.bucketTokens.labels('admitted');
  const refused = metrics.bucketTokens.labels('refused');
  const returned = metrics.bucketTokens.labels('returned');
  return {
    async pour(key, rule, amount) {
      const startedAt = performance.now();
      let result = 'failed';
      try {
        const decision = await store.pour(key, rule, amount);
        result = 'decided';
        (decision.allowed ? admitted : refused).inc(amount);
        return decision;
      } finally {
        metrics.bucketPour.observe((performance.now() - startedAt) / 1000, result);
      }
    },
    async unpour(key, rule, amount) {
      await store.unpour(key, rule, amount);
      returned.inc(amount);
    },
  };
}
