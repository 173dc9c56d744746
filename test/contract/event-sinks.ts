import assert from 'node:assert/strict';
import type { EventSinks } from '../../compose/event-stores.js';
import type { PurchaseEvent } from '../../contracts/events.js';
import type { Database } from '../../adapters/postgres/pool.js';
import { event, id } from '../analytics/events.js';
import { eventually } from '../support/eventually.js';

export interface SinksUnderTest {
  sinks: EventSinks;
  /** Of the store behind them, whose tables are this suite's alone */
  database: Database;
}

const ARRIVAL_MS = 30_000;

/** The law of UsageSink and PurchaseEventSink: what was published, however often, is in the store once, as it was first published. */
export function eventSinkLaws(make: () => SinksUnderTest): void {
  it('usage events arrive once: in large batches, overlapping, at the same time and again', async function () {
    this.timeout(60_000);
    const { sinks, database } = make();
    const events = Array.from({ length: 1_200 }, (_, index) =>
      event({ userId: id(index % 40), tokens: index, orgId: index % 3 ? null : id(500), tag: index % 2 ? null : `tag "${index}" ü` }),
    );
    await sinks.usage.publish([]);
    await sinks.usage.publish(events.slice(0, 3));
    const again = events.slice(0, 3).map((one) => ({ ...one, tokens: one.tokens + 1 }));
    await Promise.all([
      sinks.usage.publish(again),
      sinks.usage.publish(events),
      ...Array.from({ length: 20 }, (_, lane) => sinks.usage.publish(events.slice(lane * 50, lane * 50 + 100))),
      sinks.usage.publish([...events].reverse()),
    ]);
    const count = async () => (await database.query<{ count: number }>('SELECT count(*) FROM usage_events')).rows[0]?.count;
    await eventually('all are stored', async () => (await count()) === events.length, ARRIVAL_MS);
    const { rows } = await database.query<{ id: string }>('SELECT id, user_id, org_id, tokens, tag FROM usage_events');
    const expected = events.map(({ id, userId, orgId, tokens, tag }) => ({ id, user_id: userId, org_id: orgId, tokens, tag }));
    assert.deepEqual(rows.sort(byId), expected.sort(byId));
    const counted = await database.query(
      'SELECT (SELECT sum(events) FROM usage_deltas)::int + (SELECT coalesce(sum(events), 0) FROM usage_rollups WHERE grain = 60)::int AS count',
    );
    assert.deepEqual(counted.rows, [{ count: events.length }]);
  });

  it('purchase events arrive once, as they were first published', async function () {
    this.timeout(60_000);
    const { sinks, database } = make();
    const events = Array.from({ length: 20 }, (_, index): PurchaseEvent => {
      const [sagaId, type] = [id(9_000 + index), 'TOKEN_PURCHASE_FAILED'] as const;
      const facts = {
        id: `${sagaId}:${type}`,
        type,
        timestamp: '2026-03-01T12:00:00.000Z',
        sagaId,
        userId: id(1 + (index % 3)),
        orgId: null,
      };
      return { ...facts, provider: 'openai', tokens: index, correlationId: `c-${index}`, failureReason: "the card's limit" };
    });
    for (const one of events) await sinks.purchases.publish(one);
    await Promise.all(events.map((one) => sinks.purchases.publish({ ...one, failureReason: 'another' })));
    const last = { ...(events[0] as PurchaseEvent), id: `${id(8_999)}:TOKEN_PURCHASE_STARTED`, type: 'TOKEN_PURCHASE_STARTED' as const };
    await Promise.all([1, 2, 3].map((user) => sinks.purchases.publish({ ...last, id: `${last.id}${user}`, userId: id(user) })));
    const stored = async () =>
      (await database.query<{ body: PurchaseEvent }>('SELECT body FROM purchase_events')).rows.map(({ body }) => body);
    await eventually('all are stored, those sent last included', async () => (await stored()).length === events.length + 3, ARRIVAL_MS);
    const failed = (await stored()).filter(({ type }) => type === 'TOKEN_PURCHASE_FAILED');
    assert.deepEqual(failed.sort(byId), events.sort(byId));
  });
}

const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
