import { paymentMethodsOf } from '../adapters/payments/index.js';
import { createPurchaseLedger } from '../adapters/postgres/ledger-purchases.js';
import { createConsumptionLedger } from '../adapters/postgres/ledger.js';
import { createPurchasePlaces } from '../adapters/postgres/purchase-places.js';
import { createQuotaStore } from '../adapters/postgres/quota-store.js';
import { createPurchaseReader } from '../adapters/postgres/sagas.js';
import { createPurchaseEngine } from '../adapters/temporal/purchases.js';
import type { Memberships } from '../api/http/caller.js';
import { MemoryIntake } from '../api/tokens/intake.js';
import type { PurchaseDeps } from '../api/tokens/purchase-deps.js';
import { publicPurchaseRoutes, purchaseOperations, purchaseRoutes } from '../api/tokens/purchases.js';
import { startTokens } from '../api/tokens/service.js';
import { packageVersion } from './build-id.js';
import { startConsumptionWorker } from './consumption-worker.js';
import { foundServer } from './discovery.js';
import type { Resources } from './resources.js';
import { group, workerPart, type Compose } from './service.js';

/** The token service and its consumption worker: one process, one connection, so that starts are eager. */
export const composeTokens: Compose = async (resources) => {
  const { config, log } = resources;
  const database = resources.database();
  const { client, connection } = await resources.temporal();
  const limits = await resources.limits();
  const intake = new MemoryIntake();
  const worker = await startConsumptionWorker(resources, intake);
  const { required } = await resources.authenticator();
  const memberships = await resources.memberships();
  const server = await startTokens({
    config,
    log,
    version: packageVersion(),
    client,
    intake,
    ledger: createConsumptionLedger(database, { enforceQuota: config.flags.quotaEnforcement }),
    providers: resources.providers(),
    usage: resources.events().usage,
    buckets: limits.buckets(),
    quota: createQuotaStore(database),
    memberships,
    authenticate: required,
    purchases: { ...purchases(resources, client, memberships), operations: purchaseOperations },
    readiness: {
      ...limits.readiness,
      postgres: () => database.query('SELECT 1'),
      temporal: () => connection.healthService.check({}),
      worker: () => worker.polled(),
    },
  });
  // The server stops first: requests in flight still need the worker.
  return group('tokens', [workerPart(worker), await foundServer('tokens', server, resources)]);
};

type Client = Awaited<ReturnType<Resources['temporal']>>['client'];

function purchases(resources: Resources, client: Client, memberships: Memberships) {
  const database = resources.database();
  const deps: PurchaseDeps = {
    config: resources.config,
    memberships,
    ledger: createPurchaseLedger(database),
    quota: createQuotaStore(database),
    purchases: createPurchaseReader(database),
    places: createPurchasePlaces(database, resources.config.purchase.openPerCaller),
    engine: createPurchaseEngine({ client }),
    paymentMethods: paymentMethodsOf(resources.config),
    clock: () => new Date(),
  };
  return { open: publicPurchaseRoutes(deps), routes: purchaseRoutes(deps) };
}
