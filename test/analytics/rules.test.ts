import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stepSeconds } from '../../contracts/http/analytics.js';
import { cover, GRAINS_SECONDS, judgeAnomaly } from '../../domain/usage.js';

const HOUR = 3_600_000;
const spans = fc.tuple(fc.nat(50 * HOUR), fc.nat(5 * HOUR)).map(([from, length]) => ({ from, to: from + length }));
const steps = fc.option(fc.constantFrom(1, 15, 60, 120, 300, 600, 1_800, 3_600, 7_200, 86_400), { nil: undefined });

describe('cover: which roll-ups and raw events make up a span', () => {
  it('is in order, without gap or overlap, and ends where the span ends', () => {
    fc.assert(
      fc.property(spans, steps, (span, step) => {
        let reached = span.from;
        for (const piece of cover(span, step)) {
          assert.equal(piece.from, reached);
          assert.ok(piece.to > piece.from);
          reached = piece.to;
        }
        assert.equal(reached, span.to);
      }),
    );
  });

  it('uses only whole buckets of a grain, and none that crosses a bucket of the chart', () => {
    fc.assert(
      fc.property(spans, steps, (span, step) => {
        for (const { from, to, grainSeconds } of cover(span, step)) {
          if (grainSeconds === null) continue;
          assert.equal(from % (grainSeconds * 1_000), 0);
          assert.equal(to % (grainSeconds * 1_000), 0);
          assert.equal((step ?? grainSeconds) % grainSeconds, 0);
        }
      }),
    );
  });

  it('reads raw events of less than two minutes, and at most 18 minutes and 100 minutes of the finer grains', () => {
    fc.assert(
      fc.property(spans, (span) => {
        const read = (grain: number | null) =>
          cover(span)
            .filter((piece) => piece.grainSeconds === grain)
            .reduce((sum, piece) => sum + piece.to - piece.from, 0);
        assert.ok(read(null) < 120_000);
        assert.ok(read(60) <= 18 * 60_000);
        assert.ok(read(600) <= 10 * 600_000);
      }),
    );
  });

  it('has grains that divide one another', () => {
    for (const [index, grain] of GRAINS_SECONDS.entries()) assert.equal((GRAINS_SECONDS[index + 1] ?? grain) % grain, 0);
  });
});

describe('judgeAnomaly', () => {
  const table = [
    { name: 'an empty baseline is never an anomaly', tokens: [500, 0], windows: 3, multiplier: 2, ratio: null, anomaly: false },
    { name: 'nothing at all is none', tokens: [0, 0], windows: 3, multiplier: 2, ratio: null, anomaly: false },
    { name: 'below the threshold is none', tokens: [199, 300], windows: 3, multiplier: 2, ratio: 1.99, anomaly: false },
    { name: 'at the threshold is one', tokens: [200, 300], windows: 3, multiplier: 2, ratio: 2, anomaly: true },
    { name: 'windows without events count as 0', tokens: [100, 90], windows: 9, multiplier: 10, ratio: 10, anomaly: true },
  ];
  for (const { name, tokens, windows, multiplier, ratio, anomaly } of table) {
    it(name, () => {
      const verdict = judgeAnomaly(tokens[0] ?? 0, tokens[1] ?? 0, windows, multiplier);
      assert.deepEqual({ ratio: verdict.ratio, anomaly: verdict.anomaly }, { ratio, anomaly });
    });
  }
});

describe('stepSeconds', () => {
  const table: [string, number][] = [
    ['90', 90],
    ['30s', 30],
    ['5m', 300],
    ['1h', 3_600],
    ['1d', 86_400],
    ['PT1H', 3_600],
    ['PT1H30M', 5_400],
    ['P1D', 86_400],
    ['', NaN],
    ['PT', 0],
    ['P1Y', NaN],
    ['P1M', NaN],
    ['1w', NaN],
    ['-5', NaN],
    ['1e3', NaN],
  ];
  for (const [text, seconds] of table) it(`reads '${text}' as ${seconds}`, () => assert.equal(stepSeconds(text), seconds));
});
