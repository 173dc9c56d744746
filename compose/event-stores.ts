import type { PurchaseEventSink, UsageSink } from '../activities/ports.js';
import { createPurchaseEventSink } from '../adapters/postgres/purchase-events.js';
import type { Resources } from './resources.js';

export interface EventSinks {
  usage: UsageSink;
  purchases: PurchaseEventSink;
}

/** Where events end up, whichever way they come. */
export function openEventStores({ database, usageStore }: Pick<Resources, 'database' | 'usageStore'>): EventSinks {
  return { usage: usageStore().sink, purchases: createPurchaseEventSink(database()) };
}
