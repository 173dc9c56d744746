import type { PurchaseEventSink, UsageSink } from '../activities/ports.js';
import { createPurchaseEventSink } from '../adapters/postgres/purchase-events.js';
import { createUsageSink } from '../adapters/postgres/usage-sink.js';
import type { Resources } from './resources.js';

export interface EventSinks {
  usage: UsageSink;
  purchases: PurchaseEventSink;
}

/** Where events end up, whichever way they come. */
export function openEventStores({ database }: Pick<Resources, 'database'>): EventSinks {
  return { usage: createUsageSink(database()), purchases: createPurchaseEventSink(database()) };
}
