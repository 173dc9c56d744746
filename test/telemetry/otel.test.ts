import assert from 'node:assert/strict';
import { connectRedis } from '../../adapters/redis/connection.js';
import { createRedisBucketStore } from '../../adapters/redis/bucket-store.js';
import { loadConfig } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { createTracer } from '../../telemetry/otel.js';
import { installTracer } from '../../telemetry/tracing.js';
import { startTestRedis } from '../support/redis.js';
import { startCollector } from './collector.js';

describe('tracer', function () {
  this.timeout(60_000);

  it('loses nothing that ended when it is stopped, however much it is', async () => {
    const collector = await startCollector();
    const log = createLogger('silent');
    const tracer = createTracer({ endpoint: collector.url, headers: {}, ratio: 1, serviceName: 'test', version: '1', log });
    const ended = 16_000;
    for (let left = ended; left > 0; left--) tracer.served({}, { kind: 'server' }, (span) => span.end({}, false));
    await tracer.stop();
    assert.equal(collector.spans.length, ended);
    await collector.close();
  });

  it('shows each command of Redis in the trace it is for, and neither its key nor its values', async () => {
    const collector = await startCollector();
    const log = createLogger('silent');
    const tracer = createTracer({ endpoint: collector.url, headers: {}, ratio: 1, serviceName: 'test', version: '1', log });
    installTracer(tracer);
    try {
      const client = await connectRedis(loadConfig({ LEAKY_REDIS_URL: await startTestRedis() }).redis, log);
      const rule = { strategy: 'LEAKY_BUCKET', capacity: 10, leakPerSecond: 1, windowMs: 60_000 } as const;
      const poured = new Promise((resolve, reject) => {
        tracer.served({}, { kind: 'server' }, (span) => {
          createRedisBucketStore(client)
            .pour('bucket:traced-user:openai', rule, 1)
            .finally(() => span.end({}, false))
            .then(resolve, reject);
        });
      });
      await poured;
      await client.quit();
      await tracer.stop();
      const [root] = collector.spans.filter(({ parentSpanId }) => parentSpanId === '');
      const commands = collector.spans.filter(({ name }) => name.startsWith('redis eval'));
      assert.ok(commands.length > 0, collector.spans.map(({ name }) => name).join());
      for (const { parentSpanId, traceId } of commands) assert.deepEqual([parentSpanId, traceId], [root?.spanId, root?.traceId]);
      assert.ok(!JSON.stringify(collector.spans).includes('traced-user'));
    } finally {
      installTracer(null);
      await collector.close();
    }
  });
});
