import type { Variant } from '../measure.js';
import type { Stage } from '../stage.js';
import type { Scenario } from './scenario.js';
import { consumeOnStack } from './stack.js';
import { direct, ours, providerTakes, stub, textbook } from './variants.js';

type Compared = 'direct' | 'textbook' | 'stub';

/** The textbook is left out where it would only queue. */
const CELLS: [providerMs: number, concurrency: number, compared: Compared[]][] = [
  [50, 1, ['direct', 'textbook']],
  [50, 16, ['direct']],
  [50, 64, ['direct', 'textbook', 'stub']],
  [50, 200, ['direct', 'stub']],
  [0, 1, ['direct', 'textbook']],
  [0, 16, ['direct']],
  [0, 64, ['direct', 'stub']],
  [0, 200, ['direct', 'stub']],
  [0, 400, ['direct', 'stub']],
];
const QUICK_CELLS: typeof CELLS = [[0, 16, ['direct', 'textbook', 'stub']]];

const makers: Record<Compared, (stage: Stage) => Promise<Variant>> = { direct, textbook, stub };

export const consume: Scenario = {
  name: 'consume',
  description: 'consume on the token service (JWT): against no workflow, a workflow per request, and the bare stub',
  async run(stage) {
    if (stage.extent.stack) return consumeOnStack(stage);
    const scene = await stage.scene();
    for (const [providerMs, concurrency, compared] of stage.extent.quick ? QUICK_CELLS : CELLS) {
      const provider = await providerTakes(stage, providerMs);
      const others: Variant[] = [];
      for (const name of compared) others.push(await makers[name](stage));
      await stage.measure({ scenario: 'consume', provider, concurrency, variants: [ours('leaky', scene), ...others] });
    }
  },
};

/** Requests at fixed times, as independent callers send them; the textbook form keeps up with none of these. */
const RATES = [100, 300];

export const openLoop: Scenario = {
  name: 'open-loop',
  description: 'consume at fixed rates, latency from the intended time of sending: against no workflow',
  async run(stage) {
    const scene = await stage.scene();
    const provider = await providerTakes(stage, 50);
    for (const rate of stage.extent.quick ? [50] : RATES) {
      const variants = [ours('leaky', scene), await direct(stage)];
      await stage.measure({ scenario: `open-loop ${rate}/s`, provider, concurrency: 1_000, rate, variants });
    }
  },
};
