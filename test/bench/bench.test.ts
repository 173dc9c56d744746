import assert from 'node:assert/strict';
import { runBench, type BenchOutcome } from '../../bench/bench.js';
import { scenarios } from '../../bench/scenarios/index.js';

/** Builds for the textbook's worker and starts the system; each scenario itself takes a second or two. */
const TIMEOUT_MS = 240_000;
const SECONDS = 1;
const SOAK_MINUTES = 1 / 60;

// That each scenario runs and that its counters add up. How fast it is depends on the machine: `npm run bench` tells.
describe('the benchmark', () => {
  const all = scenarios(SOAK_MINUTES);
  let outcome: BenchOutcome;
  let said = '';

  before(async function () {
    this.timeout(TIMEOUT_MS);
    outcome = await runBench({
      scenarios: all,
      effort: { rounds: 1, seconds: SECONDS, warmUpSeconds: 0 },
      extent: { quick: true, people: 5, crowd: 50, prefilled: 2_000, profileFolder: null },
      folder: null,
      say: (line) => (said += `${line}\n`),
    });
  });

  it('finds every answer in the books: each 200 is a settled row and an event, and the audit is clean', () => {
    assert.deepEqual(outcome.faults, []);
  });

  for (const { name } of all) {
    it(`measures ${name}`, () => {
      const rows = outcome.measured.filter((row) => row.scenario.startsWith(name));
      assert.ok(rows.length > 0, said);
      for (const row of rows) {
        assert.ok(row.opsPerSecond > 0, `${row.variant} did nothing\n${said}`);
        assert.ok(row.p50Ms <= row.p99Ms);
        assert.equal(row.unanswered, 0, `${row.variant} left requests without an answer\n${said}`);
        if (!name.startsWith('overload')) assert.equal(row.refused, 0, `${row.variant} refused what was to be measured\n${said}`);
      }
    });
  }

  it('gives each variant its ratio against every other of the same cell', () => {
    for (const row of outcome.measured) {
      const cell = ({ scenario, provider, concurrency }: typeof row) => `${scenario} ${provider} ${concurrency}`;
      const others = outcome.measured.filter((other) => cell(other) === cell(row) && other.variant !== row.variant);
      assert.deepEqual(Object.keys(row.ratios).sort(), others.map((other) => other.variant).sort());
    }
  });
});
