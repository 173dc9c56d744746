import type { Stage } from '../stage.js';
import { ours, providerTakes } from './variants.js';

/** At one token service, then at the gateway, behind which the stack has two of them. */
const CELLS: [providerMs: number, concurrency: number, gateway: boolean][] = [
  [50, 1, false],
  [50, 64, false],
  [50, 200, false],
  [0, 200, false],
  [50, 64, true],
  [50, 200, true],
];
const QUICK_CELLS: typeof CELLS = [[0, 16, false]];

/** The full stack against the embedded form, in turns on one machine: what the real parts and the more processes cost. */
export async function consumeOnStack(stage: Stage): Promise<void> {
  const [stack, embedded] = [await stage.scene('stack'), await stage.scene()];
  for (const [providerMs, concurrency, gateway] of stage.extent.quick ? QUICK_CELLS : CELLS) {
    const provider = await providerTakes(stage, providerMs);
    const variants = [ours('stack', stack, { gateway }), ours('embedded', embedded, { gateway })];
    await stage.measure({ scenario: gateway ? 'stack, gateway' : 'stack', provider, concurrency, variants });
  }
}
