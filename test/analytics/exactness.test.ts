import assert from 'node:assert/strict';
import fc from 'fast-check';
import { countRollUpMismatches } from '../../adapters/postgres/usage-audit.js';
import { createUsageMaintenance } from '../../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../../adapters/postgres/usage-reader.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import type { Visibility } from '../../api/analytics/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import { withDatabase } from '../support/postgres.js';
import { event, id, recountOf, storedEvents } from './events.js';

const START = Date.parse('2026-03-01T10:00:00.000Z');
const SPAN_MS = 3 * 3_600_000;

const events = fc.record({
  at: fc.nat(SPAN_MS - 1),
  userId: fc.integer({ min: 1, max: 6 }).map(id),
  orgId: fc.constantFrom(null, null, id(101), id(102)),
  provider: fc.constantFrom('openai' as const, 'gemini' as const),
  tokens: fc.integer({ min: 0, max: 10_000 }),
  allowed: fc.boolean(),
  tag: fc.constantFrom(null, 'a', 'b'),
});
const made = events.map(({ at, ...rest }): UsageEvent => event({ ...rest, timestamp: new Date(START + at).toISOString() }));
const windows = fc
  .tuple(fc.nat(SPAN_MS), fc.nat(SPAN_MS))
  .map(([a, b]) => ({ from: new Date(START + Math.min(a, b)), to: new Date(START + Math.max(a, b)) }));
const visibilities = fc.constantFrom<Visibility>('all', { userId: id(1), orgIds: [] }, { userId: id(2), orgIds: [id(101)] });

// What every usage store must do is in test/contract/usage-store.ts; here is what PostgreSQL does beyond that.

describe('roll-ups and raw events of one snapshot agree', () => {
  const database = withDatabase();
  const sink = () => createUsageSink(database().pool);
  const maintenance = () => createUsageMaintenance(database().pool);

  /** Reader and recount share a snapshot, so they must agree in the middle of everything. */
  async function agree(window: { from: Date; to: Date }, visibility: Visibility): Promise<void> {
    const connection = await database().pool.connect();
    try {
      await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const expected = recountOf(await storedEvents(connection), 'openai', visibility, window);
      const reader = createUsageReader(connection);
      assert.deepEqual(await reader.summarise('openai', visibility, window, 1_000), expected);
      const { events: count, allowedEvents, tokens } = expected;
      assert.deepEqual(
        await reader.totals('openai', visibility, [window, window]),
        Array(2).fill({ events: count, allowedEvents, tokens }),
      );
      for (const step of [15, 60, 600, 7_200]) {
        const buckets = await reader.series({ provider: 'openai' }, visibility, window, step);
        const sum = (of: (bucket: (typeof buckets)[number]) => number) => buckets.reduce((total, bucket) => total + of(bucket), 0);
        assert.deepEqual([sum((b) => b.events), sum((b) => b.allowedEvents), sum((b) => b.tokens)], [count, allowedEvents, tokens]);
        for (const { start } of buckets)
          assert.ok(start.getTime() % (step * 1_000) === 0 && +start > +window.from - step * 1_000 && start < window.to);
      }
    } finally {
      await connection.query('ROLLBACK');
      connection.release();
    }
  }

  it('at every instant while events arrive late, twice and in any order, beside several roll-ups', async function () {
    this.timeout(60_000);
    const batches = fc.sample(fc.array(made, { minLength: 1, maxLength: 40 }), { numRuns: 160, seed: 7 });
    const redelivered = [...batches, ...batches.slice(0, 60).map((batch) => [...batch].reverse())];
    let open = true;
    const inserters = [0, 1, 2, 3].map(async (lane) => {
      for (let at = lane; at < redelivered.length; at += 4) await sink().publish(redelivered[at] ?? []);
    });
    const folders = [7, 50].map(async (limit) => {
      while (open || !(await maintenance().fold(limit)).done) await maintenance().fold(limit);
    });
    const checker = (async () => {
      for (const [window, visibility] of fc.sample(fc.tuple(windows, visibilities), { numRuns: 25, seed: 11 }))
        await agree(window, visibility);
    })();
    try {
      await Promise.all([...inserters, checker]);
    } finally {
      open = false;
      await Promise.all(folders);
    }
    const { rows } = await database().pool.query(
      'SELECT (SELECT count(*) FROM usage_events) AS events, (SELECT sum(events) FROM usage_rollups WHERE grain = 60)::bigint AS counted, (SELECT count(*) FROM usage_deltas) AS left',
    );
    const distinct = new Set(batches.flat().map((one) => one.id)).size;
    assert.deepEqual(rows, [{ events: distinct, counted: distinct, left: 0 }]);
    assert.equal(await countRollUpMismatches(database().pool), 0);
  });
});

describe('storing usage events in PostgreSQL', () => {
  const database = withDatabase();
  const window = { from: new Date(START), to: new Date(START + SPAN_MS) };

  it('keeps the first event of an id, also within one batch, and takes an empty batch', async () => {
    const sink = createUsageSink(database().pool);
    const first = event({ tokens: 5 });
    await sink.publish([]);
    await sink.publish([first, { ...first, tokens: 6 }]);
    await sink.publish([{ ...first, tokens: 7, allowed: false }]);
    const summary = await createUsageReader(database().pool).summarise('openai', 'all', window, 10);
    assert.deepEqual([summary.events, summary.tokens], [1, 5]);
  });
});

describe('retention in PostgreSQL', () => {
  const database = withDatabase();

  it('takes whole old hours of events and roll-ups in step, whatever is folded, and nothing newer', async () => {
    const sink = createUsageSink(database().pool);
    const maintenance = createUsageMaintenance(database().pool);
    const at = (text: string, provider: UsageEvent['provider']) => event({ timestamp: `2026-03-01T${text}Z`, provider });
    await sink.publish([at('10:00:00', 'openai'), at('10:59:59.999', 'qwen'), at('11:30:00', 'gemini'), at('12:00:00', 'openai')]);
    await maintenance.fold(2);
    const before = new Date('2026-03-01T12:30:00Z');
    assert.equal(await maintenance.purgeOldest(before), 2);
    assert.equal(await countRollUpMismatches(database().pool), 0);
    assert.equal(await maintenance.purgeOldest(before), 1);
    assert.equal(await maintenance.purgeOldest(before), null, 'the hour that `before` is in stays');
    await sink.publish([at('10:15:00', 'openai')]);
    await maintenance.fold(100);
    assert.equal(await maintenance.purgeOldest(before), 1, 'an event that came after its hour was purged goes too');
    assert.equal(await countRollUpMismatches(database().pool), 0);
    const { rows } = await database().pool.query(
      'SELECT (SELECT count(*) FROM usage_events) AS events, (SELECT count(*) FROM usage_rollups) AS rollups',
    );
    assert.deepEqual(rows, [{ events: 1, rollups: 3 }]);
  });

  it('leaves no roll-up without its events while late events are stored and folded beside it', async function () {
    this.timeout(60_000);
    const maintenance = createUsageMaintenance(database().pool);
    const before = new Date('2026-02-01T00:00:00Z');
    const late = () =>
      event({ timestamp: new Date(Date.parse('2026-01-05T00:00:00Z') + Math.floor(Math.random() * SPAN_MS)).toISOString() });
    let open = true;
    const until = async (action: () => Promise<unknown>) => {
      while (open) await action();
    };
    // A roll-up that outlived its events would be purged a moment later, so it is looked for all the while.
    const audit = async () => assert.equal(await countRollUpMismatches(database().pool), 0);
    const beside = [() => maintenance.fold(20), () => maintenance.purgeOldest(before), audit].map(until);
    for (let round = 0; round < 400; round++) await createUsageSink(database().pool).publish([late(), late(), late()]);
    open = false;
    await Promise.all(beside);
    assert.equal(await countRollUpMismatches(database().pool), 0);
  });
});
