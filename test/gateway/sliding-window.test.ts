import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createMemoryRateLimitStore } from '../../adapters/memory/rate-limit-store.js';
import { SlidingWindow } from '../../domain/sliding-window.js';

const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 300 });

describe('sliding window', () => {
  it('never admits more than the limit in any window, wherever the window begins', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1000 }), gaps, (limit, windowMs, steps) => {
        const window = new SlidingWindow({ limit, windowMs });
        const admitted: number[] = [];
        let now = 1_000_000;
        for (const step of steps) {
          now += step;
          if (window.hit(now).allowed) admitted.push(now);
        }
        for (const start of admitted) {
          const inside = admitted.filter((time) => time >= start && time < start + windowMs).length;
          assert.ok(inside <= limit, `${inside} admitted in the window at ${start}`);
        }
      }),
    );
  });

  it('refuses only when the limit is used up by admissions of the last window', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1000 }), gaps, (limit, windowMs, steps) => {
        const window = new SlidingWindow({ limit, windowMs });
        const admitted: number[] = [];
        let now = 1_000_000;
        for (const step of steps) {
          now += step;
          const recent = admitted.filter((time) => now - time < windowMs);
          const decision = window.hit(now);
          assert.equal(decision.allowed, recent.length < limit);
          assert.equal(decision.used, recent.length + (decision.allowed ? 1 : 0));
          assert.equal(decision.remaining, limit - decision.used);
          assert.equal(decision.resetAtMs, (recent[0] ?? now) + windowMs);
          if (decision.allowed) admitted.push(now);
        }
      }),
    );
  });

  it('admits again exactly at the told reset time and not a millisecond before', () => {
    const window = new SlidingWindow({ limit: 2, windowMs: 60_000 });
    window.hit(0);
    window.hit(10);
    const refused = window.hit(500);
    assert.equal(refused.allowed, false);
    assert.equal(window.hit(refused.resetAtMs - 1).allowed, false);
    assert.equal(window.hit(refused.resetAtMs).allowed, true);
  });

  it('takes a clock that steps back as standing still', () => {
    const window = new SlidingWindow({ limit: 1, windowMs: 100 });
    window.hit(1000);
    assert.equal(window.hit(500).allowed, false);
    assert.equal(window.hit(1100).allowed, true);
  });

  it('peeks without counting', () => {
    const window = new SlidingWindow({ limit: 1, windowMs: 100 });
    for (let turn = 0; turn < 5; turn += 1) assert.equal(window.peek(1).allowed, true);
    assert.equal(window.hit(1).allowed, true);
    assert.equal(window.peek(1).allowed, false);
  });
});

describe('in-process rate-limit store', () => {
  it('counts each key for itself', async () => {
    const store = createMemoryRateLimitStore(() => 0);
    const policy = { limit: 1, windowMs: 1000 };
    assert.equal((await store.hit('a', policy)).allowed, true);
    assert.equal((await store.hit('a', policy)).allowed, false);
    assert.equal((await store.hit('b', policy)).allowed, true);
  });

  it('holds no more keys than it is told, and peeking adds none', async () => {
    const store = createMemoryRateLimitStore(() => 0, 2);
    const policy = { limit: 1, windowMs: 1000 };
    await store.hit('a', policy);
    for (let key = 0; key < 10; key += 1) await store.peek(`peeked-${key}`, policy);
    assert.equal((await store.peek('a', policy)).allowed, false);
    await store.hit('b', policy);
    await store.hit('c', policy);
    assert.equal((await store.peek('a', policy)).allowed, true);
  });
});
