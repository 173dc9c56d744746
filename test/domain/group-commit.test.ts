import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GroupCommit } from '../../domain/group-commit.js';

/** A writer whose writes end when the test says so. */
function heldWriter() {
  const writes: { items: number[]; finish: () => void; fail: (error: Error) => void }[] = [];
  const write = (items: number[]) =>
    new Promise<number[]>((resolve, reject) => writes.push({ items, finish: () => resolve(items.map((item) => item * 10)), fail: reject }));
  return { writes, write };
}
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('group commit', () => {
  it('writes a lone item at once', async () => {
    const { writes, write } = heldWriter();
    const commits = new GroupCommit({ write, lanes: 1, maxItems: 10 });
    const result = commits.submit(1);
    await turn();
    assert.deepEqual(
      writes.map((one) => one.items),
      [[1]],
    );
    writes[0]?.finish();
    assert.equal(await result, 10);
  });

  it('keeps the pace from one write to the next, and a lone item waits for none', async () => {
    const { writes, write } = heldWriter();
    const began: number[] = [];
    const timed = (items: number[]) => {
      began.push(performance.now());
      return write(items);
    };
    const commits = new GroupCommit({ write: timed, lanes: 1, maxItems: 10, pace: () => 50 });
    const submitted = performance.now();
    const first = commits.submit(1);
    await turn();
    assert.equal(began.length, 1, 'at once');
    writes[0]?.finish();
    await first;
    const others = [2, 3].map((item) => commits.submit(item));
    while (writes.length < 2) await turn();
    // Timers fire up to a millisecond early.
    assert.ok((began[1] ?? 0) - submitted >= 48, `${(began[1] ?? 0) - submitted} ms`);
    assert.deepEqual(writes[1]?.items, [2, 3]);
    writes[1].finish();
    await Promise.all(others);
  });

  it('what arrives while a write is in flight shares the next one', async () => {
    const { writes, write } = heldWriter();
    const commits = new GroupCommit({ write, lanes: 1, maxItems: 10 });
    const first = commits.submit(1);
    await turn();
    const others = [2, 3, 4].map((item) => commits.submit(item));
    await turn();
    assert.equal(writes.length, 1, 'one lane, one write');
    writes[0]?.finish();
    await first;
    await turn();
    assert.deepEqual(writes[1]?.items, [2, 3, 4]);
    writes[1].finish();
    assert.deepEqual(await Promise.all(others), [20, 30, 40]);
  });

  it('a write that fails fails its own items only, and the next goes on', async () => {
    const { writes, write } = heldWriter();
    const commits = new GroupCommit({ write, lanes: 1, maxItems: 2 });
    const results = [1, 2, 3].map((item) => commits.submit(item));
    await turn();
    writes[0]?.fail(new Error('no'));
    await assert.rejects(results[0] ?? Promise.resolve(), /no/);
    await assert.rejects(results[1] ?? Promise.resolve(), /no/);
    await turn();
    writes[1]?.finish();
    assert.equal(await results[2], 30);
  });

  it('keeps order, loses nothing, and stays within its bounds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 80 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 9 }),
        async (items, lanes, maxItems) => {
          const seen: number[] = [];
          let inFlight = 0;
          const commits = new GroupCommit<number, number>({
            lanes,
            maxItems,
            maxBytes: 100,
            bytesOf: (item) => item,
            write: async (batch) => {
              assert.ok(++inFlight <= lanes);
              assert.ok(batch.length <= maxItems);
              assert.ok(batch.length === 1 || batch.reduce((sum, item) => sum + item, 0) <= 100);
              seen.push(...batch);
              await turn();
              inFlight--;
              return batch.map((item) => item + 1);
            },
          });
          assert.deepEqual(
            await Promise.all(items.map((item) => commits.submit(item))),
            items.map((item) => item + 1),
          );
          assert.deepEqual(seen, items);
        },
      ),
      { numRuns: 40 },
    );
  });
});
