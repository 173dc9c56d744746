import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Balancer } from '../../adapters/discovery/balancer.js';
import type { CallOutcome } from '../../api/http/services.js';

const urlsOf = (count: number) => Array.from({ length: count }, (_, index) => new URL(`http://10.0.0.${index + 1}:8082`));

describe('balancer', () => {
  let now = 0;
  const balancerOf = (urls: URL[]) => {
    now = 0;
    const balancer = new Balancer(() => now);
    balancer.update(urls);
    return balancer;
  };
  const taken = (balancer: Balancer) => {
    const url = balancer.take();
    assert.ok(url);
    return url;
  };

  it('without load gives every instance the same number of turns', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 10 }), (instances, rounds) => {
        const balancer = balancerOf(urlsOf(instances));
        const turns = new Map<string, number>();
        for (let turn = 0; turn < instances * rounds; turn += 1) {
          const url = taken(balancer);
          balancer.report(url, 'answered');
          turns.set(url.href, (turns.get(url.href) ?? 0) + 1);
        }
        assert.deepEqual(
          [...turns.values()],
          Array.from({ length: instances }, () => rounds),
        );
      }),
    );
  });

  it('keeps calls away from an instance that has become slow', () => {
    const [slow, ...fast] = urlsOf(3);
    assert.ok(slow);
    const balancer = balancerOf([slow, ...fast]);
    const turns = new Map<string, number>();
    for (let call = 0; call < 300; call += 1) {
      const url = taken(balancer);
      turns.set(url.href, (turns.get(url.href) ?? 0) + 1);
      if (url !== slow) balancer.report(url, 'answered');
    }
    assert.ok((turns.get(slow.href) ?? 0) <= 1, 'it answers none, so it gets no second one while others are free');
  });

  it('takes one that refuses out for 1 s, then 2 s, at most 30 s, and back in when it answers', () => {
    const [bad, good] = urlsOf(2);
    assert.ok(bad && good);
    const balancer = balancerOf([bad, good]);
    const isOut = () => {
      const seen = [taken(balancer), taken(balancer), taken(balancer)];
      seen.forEach((url) => balancer.report(url, 'abandoned'));
      return !seen.includes(bad);
    };
    const end = (outcome: CallOutcome) => {
      balancer.take([good]);
      balancer.report(bad, outcome);
    };
    for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      end('refused');
      now += ms - 1;
      assert.ok(isOut(), `${ms} ms are not over`);
      now += 1;
      assert.ok(!isOut());
    }
    end('answered');
    end('refused');
    now += 1_000;
    assert.ok(!isOut(), 'an answer makes it like the others');
  });

  it('forgives broken calls until three come in a row', () => {
    const [bad, good] = urlsOf(2);
    assert.ok(bad && good);
    const balancer = balancerOf([bad, good]);
    const end = (outcome: CallOutcome) => {
      balancer.take([good]);
      balancer.report(bad, outcome);
    };
    for (const outcome of ['broken', 'broken', 'answered', 'broken', 'broken'] as const) end(outcome);
    const both = [taken(balancer), taken(balancer)];
    assert.equal(new Set(both).size, 2, 'still in rotation');
    both.forEach((url) => balancer.report(url, 'abandoned'));
    end('broken');
    assert.deepEqual([taken(balancer).href, taken(balancer).href], [good.href, good.href]);
  });

  it('tries all when all are out, none twice for one request, and knows when there is none', () => {
    const urls = urlsOf(2);
    const balancer = balancerOf(urls);
    urls.forEach((url) => balancer.report(url, 'refused'));
    const first = taken(balancer);
    const second = balancer.take([first]);
    assert.ok(second && second !== first);
    assert.equal(balancer.take([first, second]), null);
    assert.equal(balancerOf([]).take(), null);
  });

  it('remembers what it knows of instances that stay when others come and go', () => {
    const [one, two, three] = urlsOf(3);
    assert.ok(one && two && three);
    const balancer = balancerOf([one, two]);
    balancer.report(one, 'refused');
    balancer.update([new URL(one.href), three]);
    assert.deepEqual([taken(balancer).href, taken(balancer).href], [three.href, three.href]);
    balancer.report(two, 'answered');
    now += 1_000;
    assert.equal(taken(balancer).href, one.href, 'back, and less busy');
  });
});
