import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { connectTemporal } from '../../adapters/temporal/connection.js';
import { setUpTopics } from '../../compose/kafka.js';
import { loadConfig } from '../../config.js';
import { distRoot } from '../../root.js';
import { createLogger } from '../../telemetry/log.js';
import { installTemporalRuntime } from '../../telemetry/temporal-runtime.js';
import { replayHistories } from '../../workers/replay.js';
import { People } from '../e2e/people.js';
import { eventually } from '../support/eventually.js';
import { startTestKafka } from '../support/kafka.js';
import { startTestRedis } from '../support/redis.js';
import { startSystem, type System } from '../support/system.js';
import { startCollector, type Collector, type SpanSeen } from './collector.js';

const hex = (bytes: number) => randomBytes(bytes).toString('hex');

/** The whole system with Redis and Kafka, which sends its traces to a collector. */
describe('traces', function () {
  this.timeout(60_000);
  let collector: Collector;
  let system: System;
  const people = new People(() => system);

  before('the system', async function () {
    this.timeout(300_000);
    const [redis, brokers] = await Promise.all([startTestRedis(), startTestKafka()]);
    collector = await startCollector();
    const kafka = { LEAKY_KAFKA_BROKERS: brokers, LEAKY_KAFKA_TOPIC_PREFIX: `traces-${hex(4)}.`, LEAKY_KAFKA_REPLICATION_FACTOR: '1' };
    await setUpTopics(loadConfig({ ...kafka, LEAKY_KAFKA_MIN_INSYNC_REPLICAS: '1' }), createLogger('silent'));
    system = await startSystem({
      environment: {
        ...kafka,
        LEAKY_REDIS_URL: redis,
        LEAKY_OTLP_ENDPOINT: collector.url,
        LEAKY_OTLP_HEADERS: 'x-login=secret',
        LEAKY_ACCESS_LOG: 'debug',
      },
    });
  });
  after(async () => {
    await system?.stop();
    await collector?.close();
  });

  const inTrace = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);
  const arrived = (traceId: string, names: string[]) =>
    eventually(
      `${names.join(', ')} in trace ${traceId}; there are:\n${collector.spans.map(({ name, traceId }) => `${traceId} ${name}`).join('\n')}`,
      () => names.every((name) => inTrace(traceId).some((span) => span.name === name)),
      20_000,
    );
  const parentOf = (span: SpanSeen) => collector.spans.find(({ spanId }) => spanId === span.parentSpanId);
  const ancestors = (span: SpanSeen): string[] => {
    const parent = parentOf(span);
    return parent ? [parent.name, ...ancestors(parent)] : [];
  };
  const traced = (traceId: string) => ({ traceparent: `00-${traceId}-${hex(8)}-01` });

  /** What traces add to a workflow must not be seen in its decisions. */
  async function replays(workflowId: string): Promise<void> {
    installTemporalRuntime(createLogger('silent'));
    const temporal = await connectTemporal({ address: system.temporal.address, namespace: 'default', patienceMs: 5_000 });
    try {
      const history = await temporal.client.workflow.getHandle(workflowId).fetchHistory();
      const codePath = path.join(distRoot, 'workflow-bundle.js');
      for await (const verdict of replayHistories(codePath, [{ name: workflowId, workflowId, history }]))
        assert.ok(verdict.ok, verdict.detail);
    } finally {
      await temporal.close();
    }
  }

  it('lead from the gateway through workflow and steps to ledger, provider, Redis, Kafka and the store', async () => {
    const person = await people.register();
    await people.buy(person, 500);
    const traceId = hex(16);
    const answer = await people.consume(person, 5, {}, { headers: traced(traceId) });
    assert.equal(answer.status, 200, answer.text);
    await arrived(traceId, ['process token-usage', 'consumeTokens', 'POST /api/v1/tokens/**', 'settle']);
    const spans = inTrace(traceId);
    await replays(String(spans.find(({ name }) => name === 'consumeTokens')?.attributes['temporal.workflow.id']));
    const named = (name: string): SpanSeen => {
      const found = spans.find((span) => span.name === name);
      assert.ok(found, `no ${name} among ${spans.map((span) => span.name).join(', ')}`);
      return found;
    };
    const request = ['POST /api/v1/tokens/consume', 'POST /api/v1/tokens/**'];
    const workflow = ['consumeTokens', 'start consumeTokens', 'batch', ...request];
    const expected: Record<string, string[]> = {
      'postgres reserve_tokens': ['reserveTokens', ...workflow],
      'call openai': ['callProviders', ...workflow],
      'postgres settle_consumptions': ['settle', 'callProviders', ...workflow],
      'process token-usage': ['publish token-usage', 'publishUsage', ...workflow],
    };
    for (const [name, above] of Object.entries(expected)) assert.deepEqual(ancestors(named(name)), above, name);
    const served = named('POST /api/v1/tokens/consume');
    assert.equal(served.attributes['leaky.consumption_id'], answer.body.consumptionId);
    assert.equal(served.attributes['leaky.correlation_id'], answer.headers['x-correlation-id']);
    assert.equal(Number(served.attributes['http.response.status_code']), 200);
    assert.ok(spans.every(({ service }) => service === 'leaky'));
    assert.equal(collector.headers['x-login'], 'secret');
  });

  it('link requests and the batch that they share, and call the provider in the trace of each', async () => {
    const person = await people.register();
    await people.buy(person, 1_000);
    const ids = Array.from({ length: 24 }, () => hex(16));
    const answers = await Promise.all(ids.map((id) => people.consume(person, 1, {}, { headers: traced(id) })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    for (const id of ids) await arrived(id, ['call openai', 'POST /api/v1/tokens/consume']);
    const batches = () => collector.spans.filter(({ name, traceId }) => name === 'batch' && ids.includes(traceId));
    const carried = () => batches().reduce((sum, { attributes }) => sum + Number(attributes['leaky.batch.items']), 0);
    await eventually('all batches', () => carried() === ids.length);
    const shared = batches().filter(({ attributes }) => Number(attributes['leaky.batch.items']) > 1);
    assert.ok(shared.length > 0, 'no two requests shared a workflow');
    for (const batch of shared) {
      assert.equal(batch.links.length, Number(batch.attributes['leaky.batch.items']) - 1);
      for (const { traceId, spanId } of batch.links) {
        const request = inTrace(traceId).find((span) => span.spanId === spanId);
        assert.equal(request?.name, 'POST /api/v1/tokens/consume');
        assert.ok(
          request.links.some((link) => link.spanId === batch.spanId),
          'the request knows its batch',
        );
        const call = inTrace(traceId).find(({ name }) => name === 'call openai');
        const step = collector.spans.find(({ spanId: id }) => id === call?.links[0]?.spanId);
        assert.deepEqual([step?.name, step?.traceId], ['callProviders', batch.traceId], 'the call knows the step that made it');
      }
    }
  });

  it('follow a purchase through its steps', async () => {
    const person = await people.register();
    const traceId = hex(16);
    const body = { userId: person.userId, provider: 'qwen', tokens: 10 };
    const answer = await people.call('POST', '/api/v1/tokens/purchase', { token: person.token, body, headers: traced(traceId) });
    assert.equal(answer.status, 202, answer.text);
    await arrived(traceId, [
      'purchaseQuota',
      'openSaga',
      'reservePayment',
      'allocateTokens',
      'capturePayment',
      'completePurchase',
      'process token-purchase-events',
    ]);
    const workflow = inTrace(traceId).find(({ name }) => name === 'purchaseQuota');
    assert.equal(workflow?.attributes['temporal.workflow.id'], `purchase-${answer.body.sagaId}`);
    await replays(`purchase-${answer.body.sagaId}`);
  });

  it('leave out what the caller does not trace, and malformed contexts begin a trace of their own', async () => {
    const person = await people.register();
    const untraced = hex(16);
    await people.consume(person, 1, {}, { headers: { traceparent: `00-${untraced}-${hex(8)}-00` } });
    const malformed = hex(16);
    await people.consume(person, 1, {}, { headers: { traceparent: `00-${malformed}-${'0'.repeat(16)}-01` } });
    const last = hex(16);
    await people.consume(person, 1, {}, { headers: traced(last) });
    await arrived(last, ['consumeTokens', 'publishUsage']);
    assert.deepEqual([...inTrace(untraced), ...inTrace(malformed)], []);
  });

  it('are all sent when the process stops', async () => {
    const person = await people.register();
    const traceId = hex(16);
    const answer = await people.consume(person, 1, {}, { headers: traced(traceId) });
    assert.equal(answer.status, 402);
    assert.equal(await system.stop(), 0);
    const names = inTrace(traceId).map(({ name }) => name);
    for (const name of ['POST /api/v1/tokens/**', 'POST /api/v1/tokens/consume', 'batch', 'reserveTokens', 'consumeTokens', 'publishUsage'])
      assert.ok(names.includes(name), `${name} is not among ${names.join(', ')}`);
  });
});
