import assert from 'node:assert/strict';
import fc from 'fast-check';
import { NoPlace, SharedPlaces } from '../../platform/shared-places.js';

const refused = (taken: 'share' | 'all') => (error: unknown) => error instanceof NoPlace && error.taken === taken;

describe('places that callers share', () => {
  it('one caller holds its share at most, and the rest is there for others', () => {
    const places = new SharedPlaces({ places: 4, perCaller: 2 });
    places.take('a');
    places.take('a');
    assert.throws(() => places.take('a'), refused('share'));
    places.take('b');
    places.take('c');
    assert.throws(() => places.take('d'), refused('all'));
    assert.equal(places.inUse, 4);
  });

  it('a place that is given back twice is free once', () => {
    const places = new SharedPlaces({ places: 1, perCaller: 1 });
    const leave = places.take('a');
    leave();
    leave();
    assert.equal(places.inUse, 0);
    places.take('b');
    assert.throws(() => places.take('c'), refused('all'));
  });

  it('a call waits for a place, and is told when none came in its time', async () => {
    const places = new SharedPlaces({ places: 1, perCaller: 1, waitMs: 30 });
    const leave = places.take('a');
    const waiting = places.enter('b');
    leave();
    (await waiting)();
    places.take('a');
    await assert.rejects(places.enter('b'), refused('all'));
    await assert.rejects(places.enter('a'), refused('share'));
  });

  it('no more wait than may, in all and of one caller', async () => {
    const places = new SharedPlaces({ places: 1, perCaller: 1, waitMs: 50, waiting: 3, waitingPerCaller: 2 });
    const leave = places.take('a');
    const waiting = [places.enter('a'), places.enter('a')];
    await assert.rejects(places.enter('a'), refused('share'));
    waiting.push(places.enter('b'));
    await assert.rejects(places.enter('c'), refused('all'));
    leave();
    for (const outcome of await Promise.allSettled(waiting)) if (outcome.status === 'fulfilled') outcome.value();
  });

  it('callers are admitted in turn, however many calls one of them has waiting', async () => {
    const places = new SharedPlaces({ places: 2, perCaller: 2, waitMs: 5_000, waiting: 100, waitingPerCaller: 50 });
    const order: string[] = [];
    const leaves = [places.take('greedy'), places.take('greedy')];
    const calls = Array.from({ length: 20 }, () => 'greedy').concat('modest');
    const all = calls.map(async (caller) => {
      const leave = await places.enter(caller);
      order.push(caller);
      setImmediate(leave);
    });
    for (const leave of leaves) leave();
    await Promise.all(all);
    await new Promise(setImmediate);
    assert.ok(order.indexOf('modest') <= 2, order.join());
    assert.equal(places.inUse, 0);
  });

  it('is never above its places or a share, and ends empty, whatever comes and goes', () => {
    const step = fc.record({ caller: fc.constantFrom('a', 'b', 'c'), enters: fc.boolean() });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 60 }),
        (all, share, steps) => {
          const places = new SharedPlaces({ places: all, perCaller: share });
          const held: (() => void)[] = [];
          for (const { caller, enters } of steps) {
            if (!enters) held.shift()?.();
            else
              try {
                held.push(places.take(caller));
              } catch (error) {
                assert.ok(error instanceof NoPlace);
              }
            assert.ok(places.inUse <= all && places.inUse === held.length);
            for (const name of ['a', 'b', 'c']) assert.ok(places.heldBy(name) <= share);
          }
          for (const leave of held) leave();
          assert.equal(places.inUse, 0);
        },
      ),
    );
  });
});
