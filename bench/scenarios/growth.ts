import type { Scenario } from './scenario.js';
import { ours, providerTakes } from './variants.js';

export const hotPool: Scenario = {
  name: 'hot-pool',
  description: "one organisation's pool that all callers share: against a pool for each",
  async run(stage) {
    const scene = await stage.scene();
    const concurrency = stage.extent.quick ? 16 : 200;
    for (const providerMs of stage.extent.quick ? [0] : [50, 0]) {
      const provider = await providerTakes(stage, providerMs);
      const variants = [ours('one pool', scene, { orgId: scene.orgId }), ours('own pools', scene)];
      await stage.measure({ scenario: 'hot-pool', provider, concurrency, variants });
    }
  },
};

export const ledger: Scenario = {
  name: 'ledger',
  description: 'a ledger with 10⁶ consumptions: against an empty one',
  async run(stage) {
    const full = await stage.scene('full');
    const plain = await stage.scene('plain');
    for (const [providerMs, concurrency] of stage.extent.quick ? [[0, 16] as const] : [[50, 200] as const, [0, 200] as const]) {
      const provider = await providerTakes(stage, providerMs);
      await stage.measure({ scenario: 'ledger', provider, concurrency, variants: [ours('full', full), ours('empty', plain)] });
    }
  },
};
