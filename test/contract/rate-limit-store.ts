import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { RateLimitStore } from '../../api/gateway/ports.js';
import { eventually } from '../support/eventually.js';

/** What every store of sliding windows does. To be called in a `describe`. */
export function rateLimitStoreContract(storeOf: () => RateLimitStore): void {
  const freshKey = () => `default|user:${randomUUID()}`;
  const minute = { limit: 3, windowMs: 60_000 };

  it('admits up to the limit and refuses then, telling what is left', async () => {
    const key = freshKey();
    const seen = [];
    for (let turn = 0; turn < 4; turn += 1) seen.push(await storeOf().hit(key, minute));
    assert.deepEqual(
      seen.map(({ allowed, limit, used, remaining }) => [allowed, limit, used, remaining]),
      [
        [true, 3, 1, 2],
        [true, 3, 2, 1],
        [true, 3, 3, 0],
        [false, 3, 3, 0],
      ],
    );
  });

  it('tells when the oldest admission leaves the window, in the time of this process', async () => {
    const key = freshKey();
    const before = Date.now();
    const first = await storeOf().hit(key, minute);
    const after = Date.now();
    assert.ok(first.resetAtMs >= before + minute.windowMs - 2 && first.resetAtMs <= after + minute.windowMs + 2);
    const second = await storeOf().hit(key, minute);
    // Apart by what the answers took to come
    assert.ok(Math.abs(second.resetAtMs - first.resetAtMs) < 5_000, 'the first is still the oldest');
    const empty = await storeOf().peek(freshKey(), minute);
    assert.ok(Math.abs(empty.resetAtMs - Date.now()) < 1_000, 'an empty window is open now');
  });

  it('peeks without counting', async () => {
    const key = freshKey();
    const policy = { limit: 1, windowMs: 60_000 };
    for (let turn = 0; turn < 3; turn += 1) assert.equal((await storeOf().peek(key, policy)).allowed, true);
    assert.equal((await storeOf().hit(key, policy)).allowed, true);
    const refused = await storeOf().peek(key, policy);
    assert.deepEqual([refused.allowed, refused.used, refused.remaining], [false, 1, 0]);
  });

  it('slides: what leaves the window makes room again', async () => {
    const key = freshKey();
    const short = { limit: 2, windowMs: 300 };
    await storeOf().hit(key, short);
    await storeOf().hit(key, short);
    assert.equal((await storeOf().hit(key, short)).allowed, false);
    await eventually('room again', async () => (await storeOf().hit(key, short)).allowed, 2_000);
  });

  it('keeps keys apart', async () => {
    const policy = { limit: 1, windowMs: 60_000 };
    assert.equal((await storeOf().hit(freshKey(), policy)).allowed, true);
    assert.equal((await storeOf().hit(freshKey(), policy)).allowed, true);
  });

  it('admits exactly the limit, however many ask at once', async () => {
    const key = freshKey();
    const decisions = await Promise.all(Array.from({ length: 300 }, () => storeOf().hit(key, { limit: 120, windowMs: 60_000 })));
    assert.equal(decisions.filter((decision) => decision.allowed).length, 120);
  });
}
