import type { Variant } from '../measure.js';
import type { Stage } from '../stage.js';
import type { Scenario } from './scenario.js';

/** Small enough for millions of them to fit the pool's cap of safe integers */
const TOKENS = 10;

export const purchase: Scenario = {
  name: 'purchase',
  description: 'purchase to COMPLETED: against a bare workflow with as many activities that do nothing',
  async run(stage) {
    for (const concurrency of stage.extent.quick ? [4] : [1, 16]) {
      await stage.measure({ scenario: 'purchase', provider: 'simulator', concurrency, variants: await variants(stage) });
    }
  },
};

async function variants(stage: Stage): Promise<Variant[]> {
  const { target, people, told } = await stage.scene();
  const beside = await stage.beside('textbook');
  const processes = [...target.processes, beside];
  const buy = people.map(({ userId, token }) => ({
    method: 'POST' as const,
    path: '/purchase',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ userId, provider: 'openai', tokens: TOKENS }),
  }));
  return [
    { name: 'leaky', job: { url: beside.url, requests: buy }, processes, told: ({ ok }) => void (told.purchased += ok) },
    { name: 'bare', job: { url: beside.url, requests: [{ method: 'POST', path: '/bare', headers: {}, body: '{}' }] }, processes },
  ];
}
