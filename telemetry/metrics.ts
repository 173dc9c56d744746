import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/**
 * All metrics of the process, once. Labels are closed sets (provider, service, code …): never an id or a name a caller chose.
 * Durations are in seconds, as Prometheus expects.
 */
export const registry = new Registry();
collectDefaultMetrics({ register: registry });

const registers = [registry];

export const metrics = {
  httpRequests: new Histogram({
    name: 'leaky_http_request_seconds',
    help: 'Time to answer, by service, route pattern and status',
    labelNames: ['service', 'route', 'method', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    registers,
  }),
  decisions: new Counter({
    name: 'leaky_consumption_outcomes_total',
    help: 'Consumption attempts by provider and outcome (OK or an error code)',
    labelNames: ['provider', 'outcome'],
    registers,
  }),
  batchItems: new Histogram({
    name: 'leaky_consumption_batch_items',
    help: 'Consumptions that shared one workflow',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    registers,
  }),
  inFlight: new Gauge({
    name: 'leaky_consumptions_in_flight',
    help: 'Accepted consumptions that have not been answered yet',
    registers,
  }),
  providerCalls: new Histogram({
    name: 'leaky_provider_call_seconds',
    help: 'Provider HTTP calls by provider and result',
    labelNames: ['provider', 'result'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  }),
  rateLimited: new Counter({
    name: 'leaky_gateway_rate_limited_total',
    help: 'Requests refused by the sliding window',
    labelNames: ['policy'],
    registers,
  }),
  breakerState: new Gauge({
    name: 'leaky_gateway_breaker_state',
    help: 'Circuit breaker of a service: 0 closed, 1 half-open, 2 open',
    labelNames: ['service'],
    registers,
  }),
  sagas: new Counter({
    name: 'leaky_purchase_transitions_total',
    help: 'Purchase saga transitions by status reached',
    labelNames: ['status'],
    registers,
  }),
  sagasParked: new Gauge({ name: 'leaky_purchases_parked', help: 'Purchases whose compensation is parked in this worker', registers }),
  auditBreaches: new Gauge({
    name: 'leaky_audit_breaches',
    help: 'Breaches found by the last ledger reconciliation, by invariant',
    labelNames: ['invariant'],
    registers,
  }),
};
