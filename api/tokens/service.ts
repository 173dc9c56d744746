import type { Client } from '@temporalio/client';
import type { RequestHandler, Router } from 'express';
import type { IncomingMessage } from 'node:http';
import type { ConsumptionLedger } from '../../activities/consumption-ports.js';
import type { Providers, UsageSink } from '../../activities/ports.js';
import type { Config } from '../../config.js';
import type { Logger } from '../../telemetry/log.js';
import { SharedPlaces, shareOf, type SharedPlacesOptions } from '../../platform/shared-places.js';
import type { Memberships } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { createServiceApp, listen, type RunningService, type ServiceApp } from '../http/service.js';
import { BatchStarter } from './batch-starter.js';
import { createBucketRules } from './bucket-rule.js';
import { createConsume } from './consume.js';
import { consumeRoute } from './consume-route.js';
import { consumptionRoute } from './consumption-route.js';
import { Door } from './door.js';
import type { MemoryIntake } from './intake.js';
import { KeyWaiters } from './key-waiters.js';
import { measured } from './measured-buckets.js';
import { operations } from './operations.js';
import type { BucketStore, QuotaStore } from './ports.js';
import { quotaRoutes } from './quota-routes.js';
import { RefusalRecorder } from './refusals.js';

export interface TokenServiceOptions {
  config: Config;
  log: Logger;
  version: string;
  /** On the same NativeConnection as the consumption worker, or starts are not eager */
  client: Client;
  /** Shared with the activities of the consumption worker in this process */
  intake: MemoryIntake;
  ledger: ConsumptionLedger;
  providers: Providers;
  usage: UsageSink;
  buckets: BucketStore;
  quota: QuotaStore;
  memberships: Memberships;
  authenticate: RequestHandler;
  /** `open`: what needs no caller */
  purchases: { open: Router; routes: Router; operations: readonly Operation[] };
  readiness: Record<string, () => Promise<unknown>>;
}

/** Beyond the provider's own limits: starting a workflow and taking one over after a crash. */
const ANSWER_MARGIN_MS = 15_000;

function createTokensApp(options: TokenServiceOptions, door: Door, waiters: KeyWaiters): ServiceApp {
  const { config, log, intake, ledger, memberships, quota } = options;
  const consume = createConsume({
    ...options,
    waiters,
    inFlight: new SharedPlaces(placesInFlight(config)),
    buckets: measured(options.buckets),
    starter: new BatchStarter(options.client, intake, log, {
      startsInFlight: config.consumption.startsInFlight,
      paceMs: config.consumption.paceMs,
      maxItems: config.consumption.batchMaxItems,
      maxBytes: config.consumption.batchMaxBytes,
      slots: config.consumption.batchSlots,
    }),
    refusals: new RefusalRecorder(ledger, options.usage, log),
    answerWithinMs: longestProviderCallMs(config) + ANSWER_MARGIN_MS,
  });
  const bucketRuleOf = createBucketRules(quota, config.bucket);
  return createServiceApp({
    name: 'token-service',
    title: 'Leaky Tokens: token service',
    config,
    log,
    operations: [...operations, ...options.purchases.operations],
    serverUrl: config.ownUrls.tokens,
    authenticate: options.authenticate,
    readiness: options.readiness,
    routes: (router) => {
      router.get('/api/v1/tokens/status', (_req, res) => {
        res.json({ service: 'token-service', status: 'ok', timestamp: new Date().toISOString(), version: options.version });
      });
      router.use(options.purchases.open);
      router.post(
        '/api/v1/tokens/consume',
        consumeRoute({
          claim: (caller, res) => door.claim(caller, res),
          consume,
          memberships,
          bucketRuleOf,
          quota,
          upgradeUrl: `${config.publicUrl}/api/v1/tokens/purchase`,
        }),
      );
      router.get('/api/v1/tokens/consume/:consumptionId', consumptionRoute(ledger, memberships));
      router.use(quotaRoutes(quota, memberships));
      router.use(options.purchases.routes);
    },
  });
}

/** Of consumptions in progress, and as many again of requests that wait for one of them. */
export function placesInFlight({ consumption: { maxInFlight, callerShare } }: Pick<Config, 'consumption'>): SharedPlacesOptions {
  return { places: maxInFlight, perCaller: shareOf(maxInFlight, callerShare) };
}

/** All attempts running into their limit, with the pauses between them. Milliseconds. */
export function longestProviderCallMs({ providers }: Pick<Config, 'providers'>): number {
  const pauses = providers.backoffMs * (2 ** (providers.attempts - 1) - 1);
  return providers.attempts * providers.timeoutMs + pauses;
}

/** @throws Error when the port is taken */
export async function startTokens(options: TokenServiceOptions): Promise<RunningService> {
  const { config, providers } = options;
  const { maxWorking, callerShare, waitingPerKey } = config.consumption;
  const waiters = new KeyWaiters(placesInFlight(config), waitingPerKey);
  const door = new Door({
    limit: maxWorking,
    callerShare: shareOf(maxWorking, callerShare),
    away: {
      all: () => providers.inProgress + waiters.size,
      of: (caller) => providers.inProgressOf(caller) + waiters.sizeOf(caller),
    },
  });
  const app = createTokensApp(options, door, waiters);
  const server = await listen(door.before(app), config.host, config.ports.tokens, config.http, app.trusts);
  const inner: RequestHandler = (req, res, next) => {
    if (door.admit(req, res)) return app.inner(req, res, next);
  };
  return { ...server, inner: Object.assign(inner, { isFull: (req: IncomingMessage, caller: string) => door.isFull(req, caller) }) };
}
