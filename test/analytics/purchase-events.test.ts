import assert from 'node:assert/strict';
import { createPurchaseEventSink } from '../../adapters/postgres/purchase-events.js';
import type { PurchaseEvent } from '../../contracts/events.js';
import { withDatabase } from '../support/postgres.js';
import { id } from './events.js';

describe('storing purchase events', () => {
  const database = withDatabase();

  it('keeps each event once, as it was first published, also when several deliver it at the same time', async () => {
    const first: PurchaseEvent = {
      id: `${id(1)}:TOKEN_PURCHASE_FAILED`,
      type: 'TOKEN_PURCHASE_FAILED',
      timestamp: '2026-03-01T12:00:00.000Z',
      sagaId: id(1),
      userId: id(2),
      orgId: null,
      provider: 'openai',
      tokens: 100,
      correlationId: 'c-1',
      failureReason: "the card's limit",
    };
    const sink = createPurchaseEventSink(database().pool);
    await sink.publish(first);
    await Promise.all(Array.from({ length: 5 }, () => sink.publish({ ...first, failureReason: 'another' })));
    const { rows } = await database().pool.query<{ saga_id: string; type: string; body: PurchaseEvent }>(
      'SELECT saga_id, type, body FROM purchase_events',
    );
    assert.deepEqual(rows, [{ saga_id: id(1), type: 'TOKEN_PURCHASE_FAILED', body: first }]);
  });
});
