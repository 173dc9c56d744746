import assert from 'node:assert/strict';
import { connectTemporal, type Temporal } from '../../adapters/temporal/connection.js';
import { createResources } from '../../compose/resources.js';
import { setUp } from '../../compose/setup.js';
import { temporalOptions, workerBase } from '../../compose/temporal.js';
import { loadConfig, type Config } from '../../config.js';
import { createLogger } from '../../telemetry/log.js';
import { createWorker, type RunningWorker } from '../../workers/create-worker.js';
import { startSecureTemporal, type SecureTemporal } from './secure-temporal.js';

export interface ClusterNamespace {
  server: SecureTemporal;
  name: string;
  /** Of a process with these settings more */
  config(more?: Record<string, string>): Config;
  environment(more?: Record<string, string>): Record<string, string>;
  /** Closed after the tests */
  connect(more?: Record<string, string>): Promise<Temporal>;
  /** On a connection of its own, as a process of its own would be; stopped after the tests */
  work(taskQueue: string, activities: object, more?: Record<string, string>): Promise<RunningWorker>;
}

/** A namespace of the secure cluster, set up by `leaky setup`, for the enclosing `describe`. */
export function withClusterNamespace(name: string): () => ClusterNamespace {
  let namespace: ClusterNamespace | undefined;
  const endings: (() => Promise<unknown>)[] = [];
  before('a namespace on a cluster', async function () {
    this.timeout(300_000);
    const server = await startSecureTemporal();
    const [admin, own] = await Promise.all([server.environment('temporal-system:admin'), server.environment(`${name}:write`)]);
    const environment = (more = {}) => ({ ...own, LEAKY_TEMPORAL_NAMESPACE: name, ...more });
    const config = (more = {}) => loadConfig(environment(more));
    const connect = async (more = {}) => {
      const temporal = await connectTemporal({ ...temporalOptions(config(more)), patienceMs: 10_000 });
      endings.push(() => temporal.close());
      return temporal;
    };
    const resources = createResources({
      config: loadConfig({ ...admin, LEAKY_TEMPORAL_NAMESPACE: name }),
      log: createLogger('silent'),
    });
    await setUp(resources, () => undefined).finally(() => resources.close());
    namespace = {
      ...{ server, name, config, environment, connect },
      async work(taskQueue, activities, more = {}) {
        const worker = await createWorker({
          ...workerBase(await connect(more), config(more)),
          taskQueue,
          activities,
          shutdownGraceMs: 2_000,
        });
        endings.push(() => worker.stop());
        await worker.polled();
        return worker;
      },
    };
  });
  after('stop the workers', async function () {
    this.timeout(30_000);
    for (const end of endings.splice(0).reverse()) await end();
  });
  return () => {
    assert.ok(namespace, 'the namespace exists only while tests run');
    return namespace;
  };
}
