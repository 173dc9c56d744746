import type { PurchaseEventSink } from '../../activities/ports.js';
import type { Database } from './pool.js';
import { storing } from './unstorable.js';

/** Stores purchase events; an id that is already there is left as it is. */
export function createPurchaseEventSink(database: Database): PurchaseEventSink {
  return {
    async publish(event) {
      await storing(
        database.query(
          `INSERT INTO purchase_events (id, saga_id, type, occurred_at, body) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
          [event.id, event.sagaId, event.type, event.timestamp, JSON.stringify(event)],
        ),
      );
    },
  };
}
