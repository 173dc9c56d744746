import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { UsageMaintenance, UsageSink } from '../../activities/ports.js';
import { UnstorableEvent } from '../../activities/ports.js';
import type { UsageReader, Visibility } from '../../api/analytics/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import { event, id, recountOf, visibleOf } from '../analytics/events.js';

/** A usage store as its users see it. Each call makes the adapter anew, as another process would. */
export interface UsageStore {
  sink(): UsageSink;
  reader(): UsageReader;
  maintenance(): UsageMaintenance;
  /** Recounts everything; answers how many counts differ */
  mismatches(): Promise<number>;
  /** Makes one roll-up tell one token too many */
  falsify(): Promise<void>;
}

const START = Date.parse('2026-03-01T10:00:00.000Z');
const SPAN_MS = 27 * 3_600_000;
const at = (offset: number) => new Date(START + offset);
const EVERYTHING = { from: at(0), to: at(SPAN_MS) };

const events = fc
  .record({
    // Crowded around a few instants, so that minutes and users have several, and spread over two days, so that all grains are used.
    at: fc.oneof(
      fc.nat(SPAN_MS - 1),
      fc.nat(150_000),
      fc.nat(90_000).map((offset) => SPAN_MS / 2 + offset),
    ),
    userId: fc.integer({ min: 1, max: 6 }).map(id),
    orgId: fc.constantFrom(null, null, id(101), id(102)),
    provider: fc.constantFrom('openai' as const, 'openai' as const, 'gemini' as const),
    tokens: fc.integer({ min: 0, max: 10_000 }),
    allowed: fc.boolean(),
    tag: fc.constantFrom(null, 'a', 'b'),
  })
  .map(({ at: offset, ...rest }): UsageEvent => event({ ...rest, timestamp: at(offset).toISOString() }));
const windows = fc.tuple(fc.nat(SPAN_MS), fc.nat(SPAN_MS)).map(([a, b]) => ({ from: at(Math.min(a, b)), to: at(Math.max(a, b)) }));
const visibilities = fc.constantFrom<Visibility>(
  'all',
  'all',
  { userId: id(1), orgIds: [] },
  { userId: id(2), orgIds: [id(101)] },
  { userId: id(3), orgIds: [id(101), id(102), id(103)] },
);
const filters = fc.record(
  { provider: fc.constant('openai' as const), userId: fc.constantFrom(id(2), id(4)), orgId: fc.constant(id(101)), tag: fc.constant('a') },
  { requiredKeys: [] },
);

/** The laws of UsageSink, UsageReader and UsageMaintenance. `scale` 1 is for a store that takes a batch in a few milliseconds. */
export function usageStoreLaws(store: () => UsageStore, { scale }: { scale: number }): void {
  const known = new Map<string, UsageEvent>();
  const publish = async (batch: readonly UsageEvent[]) => {
    await store().sink().publish(batch);
    for (const one of batch) known.set(one.id, known.get(one.id) ?? one);
  };
  const foldAll = async () => {
    const maintenance = store().maintenance();
    while (!(await maintenance.fold(1_000)).done);
  };

  /** Everything the reader answers about a window is what a plain count of the known events gives. */
  async function agree(window: { from: Date; to: Date }, visibility: Visibility): Promise<void> {
    const reader = store().reader();
    const expected = recountOf(known.values(), 'openai', visibility, window);
    assert.deepEqual(await reader.summarise('openai', visibility, window, 1_000), expected);
    const { events: count, allowedEvents, tokens } = expected;
    assert.deepEqual(await reader.totals('openai', visibility, [window, EVERYTHING]), [
      { events: count, allowedEvents, tokens },
      sumsOf(visibleOf(known.values(), 'openai', visibility, EVERYTHING)),
    ]);
  }

  async function agreeOnSeries(filter: Parameters<UsageReader['series']>[0], visibility: Visibility, step: number): Promise<void> {
    const window = { from: at(1_234), to: at(Math.min(SPAN_MS, step * 1_900_000) - 4_321) };
    const providers = filter.provider ? [filter.provider] : (['openai', 'gemini'] as const);
    const counted = new Map<number, UsageEvent[]>();
    for (const one of providers.flatMap((provider) => visibleOf(known.values(), provider, visibility, window))) {
      if (filter.userId !== undefined && one.userId !== filter.userId) continue;
      if (filter.orgId !== undefined && one.orgId !== filter.orgId) continue;
      if (filter.tag !== undefined && one.tag !== filter.tag) continue;
      const start = Math.floor(Date.parse(one.timestamp) / (step * 1_000)) * step * 1_000;
      counted.set(start, [...(counted.get(start) ?? []), one]);
    }
    const expected = [...counted].sort(([a], [b]) => a - b).map(([start, ones]) => ({ start: new Date(start), ...sumsOf(ones) }));
    assert.deepEqual(await store().reader().series(filter, visibility, window, step), expected);
  }

  it('an id counts once: within a batch, again, in other batches, and delivered by several at the same time', async function () {
    this.timeout(60_000);
    const first = event({ tokens: 5 });
    await publish([]);
    await publish([first, first]);
    await publish([event({ tokens: 7 }), first]);
    const batch = Array.from({ length: 2_000 * scale }, () => event({ tokens: 1 }));
    const deliveries = Array.from({ length: 4 }, (_, lane) => (lane % 2 === 0 ? batch : [...batch].reverse()));
    await Promise.all(deliveries.map(publish));
    await agree(EVERYTHING, 'all');
    await foldAll();
    await agree(EVERYTHING, 'all');
    await publish(batch.slice(0, 100));
    await agree(EVERYTHING, 'all');
  });

  it('an event that no column takes is refused as such, and nothing of it is stored', async function () {
    this.timeout(20_000);
    await assert.rejects(publish([event(), event({ tokens: -1 })].slice(1)), UnstorableEvent);
    await agree(EVERYTHING, 'all');
  });

  it('reports equal a recount for any window and visibility, whatever came late or twice and whatever part is rolled up', async function () {
    this.timeout(120_000);
    const deliveries = fc.array(fc.array(events, { maxLength: 8 }), { maxLength: 5 });
    const property = fc.asyncProperty(windows, visibilities, deliveries, fc.nat(60), async (window, visibility, batches, limit) => {
      const again = [...known.values()].filter((_, index) => index % 17 === limit % 17).slice(0, 10);
      await Promise.all([...batches, again].map(publish));
      await agree(window, visibility);
      await store().maintenance().fold(limit);
      await agree(window, visibility);
    });
    await fc.assert(property, { numRuns: Math.ceil(40 * scale), seed: 5 });
    assert.equal(await store().mismatches(), 0);
    await foldAll();
    assert.equal(await store().mismatches(), 0);
    await agree({ from: at(0), to: at(0) }, 'all');
  });

  it('charts equal a recount for any filter and step', async function () {
    this.timeout(60_000);
    const property = fc.asyncProperty(filters, visibilities, fc.constantFrom(15, 60, 600, 7_200, 86_400), agreeOnSeries);
    await fc.assert(property, { numRuns: Math.ceil(60 * scale), seed: 3 });
  });

  it('lists the newest first, each once, for every visibility and limit', async function () {
    this.timeout(60_000);
    const property = fc.asyncProperty(visibilities, fc.constantFrom(1, 7, 200), async (visibility, limit) => {
      const listed = await store().reader().recent('openai', visibility, limit);
      const expected = visibleOf(known.values(), 'openai', visibility, { from: new Date(0), to: new Date() });
      const times = expected.map((one) => one.timestamp).sort((a, b) => (a > b ? -1 : 1));
      assert.deepEqual(
        listed.map((one) => one.timestamp),
        times.slice(0, limit),
      );
      assert.equal(new Set(listed.map((one) => one.id)).size, listed.length);
      for (const one of listed) assert.deepEqual(one, known.get(one.id));
    });
    await fc.assert(property, { numRuns: 12, seed: 4 });
  });

  it('a report in the middle of everything has all that was stored before it and nothing that was not sent', async function () {
    this.timeout(120_000);
    const batches = fc.sample(fc.array(events, { minLength: 1, maxLength: 30 }), { numRuns: Math.ceil(120 * scale), seed: 7 });
    const redelivered = [...batches, ...batches.slice(0, Math.ceil(40 * scale)).map((batch) => [...batch].reverse())];
    const sent = new Map(known);
    let open = true;
    const lanes = [0, 1, 2, 3].map(async (lane) => {
      for (let index = lane; index < redelivered.length; index += 4) {
        const batch = redelivered[index] ?? [];
        for (const one of batch) sent.set(one.id, sent.get(one.id) ?? one);
        await publish(batch);
      }
    });
    const folders = [300, 2_000].map(async (limit) => {
      while (open) await store().maintenance().fold(limit);
    });
    const checker = (async () => {
      for (const [window, visibility] of fc.sample(fc.tuple(windows, visibilities), { numRuns: Math.ceil(25 * scale), seed: 11 })) {
        const stored = visibleOf(known.values(), 'openai', visibility, window);
        const answer = await store().reader().summarise('openai', visibility, window, 1_000);
        const possible = visibleOf(sent.values(), 'openai', visibility, window);
        const [least, most] = [sumsOf(stored), sumsOf(possible)];
        for (const sum of ['events', 'allowedEvents', 'tokens'] as const)
          assert.ok(least[sum] <= answer[sum] && answer[sum] <= most[sum], `${sum}: ${least[sum]} ≤ ${answer[sum]} ≤ ${most[sum]}`);
      }
    })();
    try {
      await Promise.all([...lanes, checker]);
    } finally {
      open = false;
      await Promise.all(folders);
    }
    await agree(EVERYTHING, 'all');
    await foldAll();
    assert.deepEqual(await store().maintenance().fold(1_000), { count: 0, done: true });
    assert.equal(await store().mismatches(), 0);
    for (const [window, visibility] of fc.sample(fc.tuple(windows, visibilities), { numRuns: 5, seed: 13 }))
      await agree(window, visibility);
  });

  it('a recount sees a roll-up that is off by one', async function () {
    this.timeout(60_000);
    await store().falsify();
    assert.ok((await store().mismatches()) > 0);
  });
}

const sumsOf = (ones: readonly UsageEvent[]) => ({
  events: ones.length,
  allowedEvents: ones.filter((one) => one.allowed).length,
  tokens: ones.reduce((sum, one) => sum + (one.allowed ? one.tokens : 0), 0),
});
