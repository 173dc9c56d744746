import { createPurchaseActivities, type PurchaseActivityDeps } from '../../activities/purchase.js';
import { createPaymentSimulator } from '../../adapters/payments/simulator.js';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { createPurchaseEventSink } from '../../adapters/postgres/purchase-events.js';
import { createSagaStore } from '../../adapters/postgres/sagas.js';
import { createLogger } from '../../telemetry/log.js';

/** The purchase steps on real adapters; a test may swap one for a faulty one. */
export function activitiesOn(pool: Database, swapped: Partial<PurchaseActivityDeps> = {}) {
  return createPurchaseActivities({
    payments: createPaymentSimulator(pool),
    ledger: createPurchaseLedger(pool),
    sagas: createSagaStore(pool),
    events: createPurchaseEventSink(pool),
    log: createLogger('silent'),
    ...swapped,
  });
}
