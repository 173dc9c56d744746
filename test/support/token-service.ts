import type { WorkerDeploymentVersion } from '@temporalio/common';
import type { RequestHandler } from 'express';
import { Router } from 'express';
import { createConsumptionActivities } from '../../activities/consumption.js';
import type { ConsumptionLedger } from '../../activities/consumption-ports.js';
import type { UsageSink } from '../../activities/ports.js';
import { Settler } from '../../activities/settler.js';
import { createMemoryBucketStore } from '../../adapters/memory/bucket-store.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createMemberships } from '../../adapters/postgres/memberships.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { createProviders } from '../../adapters/providers/index.js';
import { connectTemporal, type TemporalOptions } from '../../adapters/temporal/connection.js';
import { startStubs } from '../../api/stubs/index.js';
import { MemoryIntake } from '../../api/tokens/intake.js';
import type { BucketStore } from '../../api/tokens/ports.js';
import { startTokens } from '../../api/tokens/service.js';
import { loadConfig } from '../../config.js';
import type { ProviderName } from '../../contracts/providers.js';
import { TASK_QUEUES } from '../../contracts/temporal.js';
import { createLogger } from '../../telemetry/log.js';
import { consumptionTuning, createWorker } from '../../workers/create-worker.js';

export interface TokenServiceRig {
  url: string;
  stubUrl: string;
  stubUrls: Record<ProviderName, string>;
  intake: MemoryIntake;
  /** POST /api/v1/tokens/consume as `userId` */
  consume(body: object, headers?: Record<string, string>, signal?: AbortSignal): Promise<ConsumeAnswer>;
  get(path: string, userId: string, roles?: string): Promise<{ status: number; body: Record<string, unknown> }>;
  /** HTTP calls that the openai stub got for this consumption */
  callsOf(consumptionId: string): Promise<number>;
  /** Like SIGTERM; `graceMs` is what requests in flight get before they are cut off */
  stop(graceMs?: number): Promise<void>;
}

export interface ConsumeAnswer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface RigOptions {
  database: Database;
  /** Connects to the same server, as a process of its own would: a connection takes one worker of a queue */
  temporal: Omit<TemporalOptions, 'patienceMs'>;
  /** Of its worker; unset: it is not versioned */
  version?: WorkerDeploymentVersion;
  environment?: Record<string, string>;
  /** Wraps the real ledger, to break it on purpose */
  ledger?: (real: ConsumptionLedger) => ConsumptionLedger;
  usage?: (real: UsageSink) => UsageSink;
  /** Default: in memory */
  buckets?: BucketStore;
  withoutWorker?: boolean;
  /** Of the worker: how long its activities may go on when it stops */
  shutdownGraceMs?: number;
  /** Calls the stubs of that rig, as two token services call the same provider */
  besides?: TokenServiceRig;
}

const FREE_PORTS = { LEAKY_TOKENS_PORT: '0', LEAKY_STUB_QWEN_PORT: '0', LEAKY_STUB_GEMINI_PORT: '0', LEAKY_STUB_OPENAI_PORT: '0' };

/**
 * A token service with its consumption worker, ledger and provider stubs, all real, on the test servers. Only the proof of
 * identity is left out: callers say who they are in headers (test/e2e covers the real one).
 */
export async function startTokenServiceRig(options: RigOptions): Promise<TokenServiceRig> {
  const { database } = options;
  const log = createLogger(process.env.LEAKY_LOG_LEVEL ?? 'silent');
  const stubs = options.besides ? null : await startStubs({ config: loadConfig(FREE_PORTS), log });
  const stubUrls = options.besides?.stubUrls ?? urlsOf(stubs?.ports);
  const config = loadConfig({
    ...FREE_PORTS,
    LEAKY_OPENAI_BASE_URL: stubUrls.openai,
    LEAKY_GEMINI_BASE_URL: stubUrls.gemini,
    LEAKY_QWEN_BASE_URL: stubUrls.qwen,
    LEAKY_PROVIDER_TIMEOUT_MS: '500',
    LEAKY_PROVIDER_BACKOFF_MS: '10',
    ...options.environment,
  });
  const real = createConsumptionLedger(database, { enforceQuota: config.flags.quotaEnforcement });
  const ledger = options.ledger?.(real) ?? real;
  const temporal = await connectTemporal({ ...options.temporal, patienceMs: 10_000 });
  const intake = new MemoryIntake();
  const providers = createProviders({ config, log });
  const realUsage = createUsageSink(database);
  const usage = options.usage?.(realUsage) ?? realUsage;
  const settler = new Settler(ledger, intake, log);
  const worker = options.withoutWorker
    ? null
    : await createWorker({
        connection: temporal.connection,
        namespace: temporal.namespace,
        dataConverter: temporal.dataConverter,
        version: options.version,
        taskQueue: TASK_QUEUES.consumption,
        tuning: consumptionTuning(config.consumption.batchSlots),
        activities: createConsumptionActivities({ ledger, settler, providers, intake, usage }),
        shutdownGraceMs: options.shutdownGraceMs ?? 2_000,
      });
  const server = await startTokens({
    config,
    log,
    version: 'test',
    client: temporal.client,
    intake,
    ledger,
    providers,
    usage,
    buckets: options.buckets ?? createMemoryBucketStore(),
    quota: createQuotaStore(database),
    memberships: createMemberships(database),
    authenticate: saysWhoItIs,
    purchases: { open: Router(), routes: Router(), operations: [] },
    readiness: {},
  });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    stubUrl: stubUrls.openai,
    stubUrls,
    intake,
    async consume(body, headers = {}, signal) {
      const userId = (body as { userId?: string }).userId ?? '';
      const response = await fetch(`${url}/api/v1/tokens/consume`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-test-user': userId, ...headers },
        body: JSON.stringify(body),
        ...(signal && { signal }),
      });
      return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
    },
    async get(path, userId, roles = 'USER') {
      const response = await fetch(url + path, { headers: { 'x-test-user': userId, 'x-test-roles': roles } });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async callsOf(consumptionId) {
      const response = await fetch(`${stubUrls.openai}/control?consumptionId=${consumptionId}`);
      return ((await response.json()) as { consumption: { attempts: number } }).consumption.attempts;
    },
    async stop(graceMs = 1_000) {
      await server.close(graceMs);
      await worker?.stop();
      await providers.close();
      await temporal.close();
      await stubs?.close(0);
    },
  };
}

function urlsOf(ports: Record<ProviderName, number> | undefined): Record<ProviderName, string> {
  if (!ports) throw new Error('no stubs');
  const url = (provider: ProviderName) => `http://127.0.0.1:${ports[provider]}`;
  return { openai: url('openai'), gemini: url('gemini'), qwen: url('qwen') };
}

const saysWhoItIs: RequestHandler = (req, res, next) => {
  const roles = req.get('x-test-roles') ?? 'USER';
  res.locals.caller = {
    userId: req.get('x-test-user') ?? '',
    username: 'test',
    roles: roles.split(','),
    apiKeyId: null,
    keyTier: null,
  };
  next();
};
