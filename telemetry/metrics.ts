import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { Timings } from './timings.js';

/**
 * All metrics of the process, once. Labels are closed sets (provider, service, code …): never an id or a name a caller chose.
 * Durations are in seconds, as Prometheus expects. docs/observability.md lists them by the question they answer.
 */
export const registry = new Registry();
collectDefaultMetrics({ register: registry });

const registers = [registry];

export const metrics = {
  httpRequests: new Timings({
    name: 'leaky_http_request_seconds',
    help: 'Time to answer, by service, route pattern, method and status',
    labelNames: ['service', 'route', 'method', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    register: registry,
  }),
  problems: new Counter({
    name: 'leaky_problems_total',
    help: 'Problem documents this process made (refusals and faults), by code; an answer that a gateway passes on counts where it was made',
    labelNames: ['code'],
    registers,
  }),
  loginFailures: new Counter({
    name: 'leaky_login_failures_total',
    help: 'Logins that failed: refused (unknown name or wrong password) or throttled',
    labelNames: ['outcome'],
    registers,
  }),
  decisions: new Counter({
    name: 'leaky_consumption_outcomes_total',
    help: 'Consumption attempts by provider and outcome (OK or an error code)',
    labelNames: ['provider', 'outcome'],
    registers,
  }),
  bucketTokens: new Counter({
    name: 'leaky_bucket_tokens_total',
    help: 'Tokens that asked for room in a rate bucket: admitted, refused, or given back after a refusal further on',
    labelNames: ['decision'],
    registers,
  }),
  bucketPour: new Timings({
    name: 'leaky_bucket_seconds',
    help: 'Time of the bucket store to decide, by result (decided or failed)',
    labelNames: ['result'],
    buckets: [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5],
    register: registry,
  }),
  batchItems: new Histogram({
    name: 'leaky_consumption_batch_items',
    help: 'Consumptions that shared one workflow',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    registers,
  }),
  workflowStarts: new Timings({
    name: 'leaky_workflow_start_seconds',
    help: 'Time of the workflow engine to take a workflow, by workflow type and result (taken or failed)',
    labelNames: ['workflow', 'result'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    register: registry,
  }),
  inFlight: new Gauge({
    name: 'leaky_consumptions_in_flight',
    help: 'Accepted consumptions that have not been answered yet',
    registers,
  }),
  providerCalls: new Timings({
    name: 'leaky_provider_call_seconds',
    help: 'Provider HTTP calls by provider and result',
    labelNames: ['provider', 'result'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    register: registry,
  }),
  providerBreaker: new Gauge({
    name: 'leaky_provider_breaker_state',
    help: 'Circuit breaker of a provider: 0 closed, 1 half-open, 2 open',
    labelNames: ['provider'],
    registers,
  }),
  turnedAway: new Counter({
    name: 'leaky_consumptions_turned_away_total',
    help: 'Consumptions refused unread because the token service had as much in progress as it takes',
    registers,
  }),
  shed: new Counter({
    name: 'leaky_gateway_shed_total',
    help: 'Requests that the gateway refused unread, as their caller had its share in progress or the service as much as it takes',
    labelNames: ['service'],
    registers,
  }),
  rateLimited: new Counter({
    name: 'leaky_gateway_rate_limited_total',
    help: 'Requests refused by the sliding window',
    labelNames: ['policy'],
    registers,
  }),
  logLinesDropped: new Counter({
    name: 'leaky_log_lines_dropped_total',
    help: 'Log lines that could not be written, for want of disk space as a rule, and were given up',
    registers,
  }),
  strayErrors: new Counter({
    name: 'leaky_stray_errors_total',
    help: 'Errors of connections and streams that nobody listened for; each is in the log, and the process goes on',
    registers,
  }),
  redisAway: new Gauge({ name: 'leaky_redis_away', help: '1 while Redis does not decide on limits for this process', registers }),
  decisionsWithoutRedis: new Counter({
    name: 'leaky_decisions_without_redis_total',
    help: 'Decisions on limits that Redis could not make, by limit: made in the process or refused, as LEAKY_REDIS_OUTAGE says',
    labelNames: ['limit'],
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
  auditBreaches: new Gauge({
    name: 'leaky_audit_breaches',
    help: 'Breaches found by the last ledger reconciliation, by invariant',
    labelNames: ['invariant'],
    registers,
  }),
  auditedAt: new Gauge({
    name: 'leaky_audit_timestamp_seconds',
    help: 'When this process last audited the ledger; of several workers the latest one counts',
    registers,
  }),
};

export const BREAKER_LEVEL = { closed: 0, 'half-open': 1, open: 2 } as const;

const METHODS = new Set(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']);

/** Node's parser knows some thirty methods and a caller may send each: the ones nobody serves are one. */
export const methodLabel = (method: string): string => (METHODS.has(method) ? method : '(other)');
