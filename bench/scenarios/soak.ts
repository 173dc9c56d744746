import { median } from '../report.js';
import { resourceUse } from '../usage.js';
import type { Scenario } from './scenario.js';
import { ours, providerTakes } from './variants.js';

const SAMPLE_EVERY_MS = 5_000;
const CONCURRENCY = 64;
const MEGABYTE = 1_048_576;

/**
 * Memory under steady load: flat when the last third holds no more than the middle one. Of the one process of the embedded form, or of
 * a token service alone on the full stack.
 */
export const soak = (minutes: number): Scenario => ({
  name: 'soak',
  description: 'resident memory over --minutes of steady load, 64 callers',
  onlyWhenNamed: true,
  async run(stage) {
    const scene = await stage.scene(stage.extent.stack ? 'stack' : 'plain');
    const provider = await providerTakes(stage, stage.extent.quick ? 0 : 50);
    const { processes } = scene.target;
    const watched = processes.find(({ name }) => name === 'tokens-1') ?? processes[0];
    if (!watched) throw new Error('The system has no process to look at');
    // With what is below it: on the stack each part has a watchdog above it.
    const resident = () => resourceUse([watched]).get(watched.name)?.residentBytes ?? NaN;
    const samples: number[] = [];
    const timer = setInterval(() => samples.push(resident() / MEGABYTE), SAMPLE_EVERY_MS);
    try {
      const effort = { rounds: 1, seconds: minutes * 60 };
      await stage.measure({ scenario: 'soak', provider, concurrency: CONCURRENCY, variants: [ours('leaky', scene)] }, effort);
    } finally {
      clearInterval(timer);
    }
    const thirds = [0, 1, 2].map((third) => samples.slice((samples.length * third) / 3, (samples.length * (third + 1)) / 3));
    const [first = NaN, middle = NaN, last = NaN] = thirds.map(median);
    stage.say(
      `  resident: first third ${first.toFixed(0)} MB, middle ${middle.toFixed(0)} MB, last ${last.toFixed(0)} MB ` +
        `(${((100 * (last - middle)) / middle).toFixed(1)} % from middle to last), most ${Math.max(...samples).toFixed(0)} MB`,
    );
  },
});
