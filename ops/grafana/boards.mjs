// Writes the boards of Grafana to dashboards/: node ops/grafana/boards.mjs. A panel is a line here and sixty in JSON.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const SCHEMA_VERSION = 39;
const [WIDTH, HEIGHT, PER_ROW] = [8, 8, 3];
const q = (metric, by, quantile) =>
  `histogram_quantile(${quantile}, sum by (${['le', ...by].join(', ')}) (rate(${metric}_bucket[$__rate_interval])))`;
const rate = (metric, ...by) => `sum by (${by.join(', ')}) (rate(${metric}[$__rate_interval]))`;

/** @param queries pairs of PromQL and legend, by turns */
const graph = (title, unit, ...queries) => ({ type: 'timeseries', title, unit, queries });
const number = (title, unit, red, ...queries) => ({ type: 'stat', title, unit, red, queries });
const row = (title) => ({ type: 'row', title });

export const BOARDS = {
  traffic: {
    title: 'Leaky Tokens: traffic and refusals',
    panels: [
      number('Requests a second', 'reqps', null, 'sum(rate(leaky_http_request_seconds_count{service="gateway"}[$__rate_interval]))', ''),
      number('Failing (5xx but 503)', 'percentunit', 0.02, 'leaky:gateway_errors:ratio5m or on() vector(0)', ''),
      number('Turned away (503)', 'percentunit', 0.05, 'leaky:gateway_unavailable:ratio5m or on() vector(0)', ''),
      graph(
        'Requests by service and status',
        'reqps',
        rate('leaky_http_request_seconds_count', 'service', 'status'),
        '{{service}} {{status}}',
      ),
      graph(
        'Time to answer, p50 and p99, by service',
        's',
        q('leaky_http_request_seconds', ['service'], 0.5),
        '{{service}} p50',
        q('leaky_http_request_seconds', ['service'], 0.99),
        '{{service}} p99',
      ),
      graph('p99 by route', 's', q('leaky_http_request_seconds', ['service', 'route'], 0.99), '{{service}} {{route}}'),
      row('Decisions'),
      graph('Consumptions by outcome', 'reqps', rate('leaky_consumption_outcomes_total', 'outcome'), '{{outcome}}'),
      graph('Refusals and faults by code', 'reqps', rate('leaky_problems_total', 'code'), '{{code}}'),
      graph('Refused by the sliding window, by policy', 'reqps', rate('leaky_gateway_rate_limited_total', 'policy'), '{{policy}}'),
      graph('Tokens at the rate buckets', 'short', rate('leaky_bucket_tokens_total', 'decision'), '{{decision}}'),
      graph('Time of the bucket store, p99', 's', q('leaky_bucket_seconds', ['result'], 0.99), '{{result}}'),
      graph('Breakers of the services (2 is open)', 'short', 'max by (service) (leaky_gateway_breaker_state)', '{{service}}'),
    ],
  },
  ledger: {
    title: 'Leaky Tokens: ledger and holds',
    panels: [
      number('Breaches of invariants', 'short', 1, 'sum(leaky:audit_breaches) or on() vector(0)', ''),
      number('Oldest hold', 's', 300, 'max(leaky_oldest_hold_seconds)', ''),
      number('Since the last audit', 's', 7200, 'time() - max(leaky_audit_timestamp_seconds)', ''),
      graph('Holds', 'short', 'max by (provider) (leaky_holds)', '{{provider}}'),
      graph('Tokens on hold', 'short', 'max by (provider) (leaky_held_tokens)', '{{provider}}'),
      graph('Accepted and not yet answered', 'short', 'sum by (instance) (leaky_consumptions_in_flight)', '{{instance}}'),
      graph('Connections to PostgreSQL', 'short', 'sum by (instance, state) (leaky_database_connections)', '{{instance}} {{state}}'),
      graph('Statements that wait for a connection', 'short', 'sum by (instance) (leaky_database_waiting)', '{{instance}}'),
      row('Events through Kafka'),
      graph(
        'Published and consumed',
        'cps',
        rate('leaky_events_published_total', 'topic'),
        '{{topic}} published',
        rate('leaky_events_consumed_total', 'topic'),
        '{{topic}} consumed',
      ),
      graph('Waiting for the usage store', 'short', 'max by (topic) (leaky_events_lag)', '{{topic}}'),
      graph('Put aside, waiting for an operator', 'short', 'max by (topic) (leaky_events_dead_letters_waiting)', '{{topic}}'),
    ],
  },
  workflows: {
    title: 'Leaky Tokens: workflows and sagas',
    panels: [
      number('Parked purchases', 'short', 1, 'max(leaky_purchases_parked)', ''),
      number('Oldest open purchase', 's', 1800, 'max(leaky_oldest_open_purchase_seconds)', ''),
      number('Starts that failed', 'percentunit', 0.1, 'max(leaky:workflow_starts_failed:ratio5m) or on() vector(0)', ''),
      graph('Open purchases by status', 'short', 'max by (status) (leaky_purchases_open)', '{{status}}'),
      graph('Purchases reaching a status', 'cps', rate('leaky_purchase_transitions_total', 'status'), '{{status}}'),
      graph(
        'Consumptions that shared a workflow',
        'short',
        q('leaky_consumption_batch_items', [], 0.5),
        'p50',
        q('leaky_consumption_batch_items', [], 0.95),
        'p95',
      ),
      graph(
        'Time to start a workflow, p99',
        's',
        q('leaky_workflow_start_seconds', ['workflow', 'result'], 0.99),
        '{{workflow}} {{result}}',
      ),
      graph('Workflows completed', 'cps', rate('temporal_workflow_completed_total', 'workflow_type'), '{{workflow_type}}'),
      graph(
        'Workflow from start to end, p99',
        's',
        q('temporal_workflow_endtoend_latency_seconds', ['workflow_type'], 0.99),
        '{{workflow_type}}',
      ),
    ],
  },
  providers: {
    title: 'Leaky Tokens: providers',
    panels: [
      graph('Calls by result', 'reqps', rate('leaky_provider_call_seconds_count', 'provider', 'result'), '{{provider}} {{result}}'),
      graph(
        'Time of a call, p50 and p99',
        's',
        q('leaky_provider_call_seconds', ['provider'], 0.5),
        '{{provider}} p50',
        q('leaky_provider_call_seconds', ['provider'], 0.99),
        '{{provider}} p99',
      ),
      graph('Breakers (2 is open)', 'short', 'max by (provider) (leaky_provider_breaker_state)', '{{provider}}'),
      graph('Consumptions by provider and outcome', 'reqps', 'leaky:consumptions:rate5m', '{{provider}} {{outcome}}'),
    ],
  },
  engine: {
    title: 'Leaky Tokens: engine and workers',
    panels: [
      graph('Pollers by queue', 'short', 'sum by (task_queue, poller_type) (temporal_num_pollers)', '{{task_queue}} {{poller_type}}'),
      graph(
        'Free slots',
        'short',
        'min by (task_queue, worker_type) (temporal_worker_task_slots_available)',
        '{{task_queue}} {{worker_type}}',
      ),
      graph('Used slots', 'short', 'sum by (task_queue, worker_type) (temporal_worker_task_slots_used)', '{{task_queue}} {{worker_type}}'),
      graph(
        'Workflow task waits for a worker, p99',
        's',
        q('temporal_workflow_task_schedule_to_start_latency_seconds', ['task_queue'], 0.99),
        '{{task_queue}}',
      ),
      graph(
        'Workflow task executes, p99',
        's',
        q('temporal_workflow_task_execution_latency_seconds', ['task_queue'], 0.99),
        '{{task_queue}}',
      ),
      graph(
        'Local activity executes, p99',
        's',
        q('temporal_local_activity_execution_latency_seconds', ['activity_type'], 0.99),
        '{{activity_type}}',
      ),
      graph('Activity executes, p99', 's', q('temporal_activity_execution_latency_seconds', ['activity_type'], 0.99), '{{activity_type}}'),
      graph('Requests to the server', 'reqps', rate('temporal_request_total', 'operation'), '{{operation}}'),
      graph('Request to the server, p99', 's', q('temporal_request_latency_seconds', ['operation'], 0.99), '{{operation}}'),
      graph('Workflows kept in memory', 'short', 'sum by (task_queue) (temporal_sticky_cache_size)', '{{task_queue}}'),
    ],
  },
  runtime: {
    title: 'Leaky Tokens: runtime',
    panels: [
      graph(
        'Event-loop delay, p50 and p99',
        's',
        'nodejs_eventloop_lag_p50_seconds',
        '{{instance}} p50',
        'nodejs_eventloop_lag_p99_seconds',
        '{{instance}} p99',
      ),
      graph('CPU', 'percentunit', 'rate(process_cpu_seconds_total[$__rate_interval])', '{{instance}}'),
      graph(
        'Memory',
        'bytes',
        'process_resident_memory_bytes',
        '{{instance}} resident',
        'nodejs_heap_size_used_bytes',
        '{{instance}} heap',
      ),
      graph(
        'Time in garbage collection',
        'percentunit',
        'sum by (instance, kind) (rate(nodejs_gc_duration_seconds_sum[$__rate_interval]))',
        '{{instance}} {{kind}}',
      ),
      graph('Open files', 'short', 'process_open_fds', '{{instance}}'),
      graph('Certificates expire in', 's', 'min by (use, kind) (leaky_certificate_not_after_seconds) - time()', '{{use}} {{kind}}'),
    ],
  },
};

/** Panels flow from left to right, three in a row of the grid; a row begins anew. */
function placed(panels) {
  let [x, y] = [0, 0];
  return panels.map((panel, index) => {
    if (panel.type === 'row' && x > 0) [x, y] = [0, y + HEIGHT];
    const size = panel.type === 'row' ? { w: WIDTH * PER_ROW, h: 1 } : { w: WIDTH, h: HEIGHT };
    const gridPos = { x, y, ...size };
    if (panel.type === 'row') y += 1;
    else [x, y] = x + WIDTH < WIDTH * PER_ROW ? [x + WIDTH, y] : [0, y + HEIGHT];
    return { id: index + 1, gridPos, ...json(panel) };
  });
}

function json({ type, title, unit, red, queries }) {
  if (type === 'row') return { type, title, collapsed: false, panels: [] };
  const targets = [];
  for (let at = 0; at < queries.length; at += 2) {
    targets.push({
      refId: String.fromCharCode(65 + at / 2),
      datasource: DATASOURCE,
      expr: queries[at],
      legendFormat: queries[at + 1] || '__auto',
    });
  }
  const steps = [{ color: 'green', value: null }, ...(typeof red === 'number' ? [{ color: 'red', value: red }] : [])];
  return {
    type,
    title,
    datasource: DATASOURCE,
    targets,
    fieldConfig: { defaults: { unit, thresholds: { mode: 'absolute', steps } }, overrides: [] },
    options:
      type === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, colorMode: 'value', graphMode: 'area' }
        : { legend: { displayMode: 'list', placement: 'bottom', showLegend: true }, tooltip: { mode: 'multi', sort: 'desc' } },
  };
}

export const boardOf = (name) => ({
  uid: `leaky-${name}`,
  title: BOARDS[name].title,
  tags: ['leaky-tokens'],
  schemaVersion: SCHEMA_VERSION,
  editable: false,
  refresh: '30s',
  time: { from: 'now-3h', to: 'now' },
  templating: { list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {}, hide: 0 }] },
  links: [{ type: 'dashboards', title: 'Leaky Tokens', tags: ['leaky-tokens'], asDropdown: true, includeVars: true, keepTime: true }],
  annotations: { list: [] },
  panels: placed(BOARDS[name].panels),
});

export const fileOf = (name) => `${JSON.stringify(boardOf(name), null, 2)}\n`;

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), 'dashboards');
  mkdirSync(folder, { recursive: true });
  for (const name of Object.keys(BOARDS)) writeFileSync(path.join(folder, `${name}.json`), fileOf(name));
}
