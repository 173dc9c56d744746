import { gatherCrowd } from '../prepare/crowd.js';
import { post } from '../prepare/people.js';
import type { Scene } from '../stage.js';
import type { Scenario } from './scenario.js';
import { consumptionOf, ours, providerTakes } from './variants.js';

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

const FEW = 10;

export const users: Scenario = {
  name: 'users',
  description: 'callers who spend for 10⁵ users in turn: against the same for 10',
  async run(stage) {
    const scene = await stage.scene();
    const { quick, crowd } = stage.extent;
    const all = await gatherCrowd(scene.database, crowd);
    // An ADMIN may spend for anyone: 10⁵ logins would take an hour.
    const { token } = await post<{ token: string }>(`${scene.target.auth}/api/v1/auth/login`, scene.target.admin);
    const forUsers = (name: string, ids: readonly string[]) => spending(name, scene, token, ids);
    for (const providerMs of quick ? [0] : [50, 0]) {
      const provider = await providerTakes(stage, providerMs);
      const variants = [forUsers('many', all), forUsers('ten', all.slice(0, FEW))];
      await stage.measure({ scenario: 'users', provider, concurrency: quick ? 16 : 200, variants });
    }
  },
};

function spending(name: string, scene: Scene, token: string, userIds: readonly string[]) {
  const variant = ours(name, scene);
  return { ...variant, job: { ...variant.job, requests: userIds.map((userId) => consumptionOf({ userId, token })) } };
}

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
