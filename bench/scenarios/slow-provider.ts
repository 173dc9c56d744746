import type { Variant } from '../measure.js';
import type { Scene } from '../stage.js';
import type { Scenario } from './scenario.js';
import { ours, providerTakes } from './variants.js';

const SLOW_MS = 4_500;
/** Calls a second to the slow provider; as many as the fast one gets */
const RATE = 16;
const CONNECTIONS = 500;

/** Calls to a fast provider with and without those to a slow one, each of which keeps a batch of its own for seconds. */
export const slowProvider: Scenario = {
  name: 'slow-provider',
  description: `calls to a provider of 50 ms beside ${RATE} calls a second to one of ${SLOW_MS / 1_000} s: against the same without those`,
  async run(stage) {
    const scene = await stage.scene();
    const { quick } = stage.extent;
    const provider = await providerTakes(stage, 50);
    const slowMs = quick ? 500 : SLOW_MS;
    const beside: NonNullable<Variant['beside']> = {
      job: { url: scene.target.tokens, requests: slowCalls(scene, slowMs) },
      rate: RATE,
      connections: CONNECTIONS,
      leadSeconds: slowMs / 1_000,
    };
    const variants = [{ ...ours('beside a slow one', scene), beside }, ours('alone', scene)];
    await stage.measure({ scenario: 'slow-provider', provider, concurrency: CONNECTIONS, rate: RATE, variants });
  },
};

const slowCalls = (scene: Scene, slowMs: number) =>
  scene.people.map(({ userId, token }) => ({
    method: 'POST' as const,
    path: '/api/v1/tokens/consume',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ userId, provider: 'gemini', tokens: 1, prompt: `[stub:slow=${slowMs}] Why do buckets leak?` }),
  }));
