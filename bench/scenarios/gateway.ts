import { LITELLM_WORKERS, startLiteLlm } from '../rivals/litellm.js';
import { startPortkey } from '../rivals/portkey.js';
import type { Variant } from '../measure.js';
import type { Stage } from '../stage.js';
import type { Scenario } from './scenario.js';
import { chat, ours, providerTakes, stub } from './variants.js';

export const gateway: Scenario = {
  name: 'gateway',
  description: 'consume through the gateway with API key: against the token service directly, Portkey, LiteLLM and the bare stub',
  async run(stage) {
    const scene = await stage.scene();
    const through = ours('gateway', scene, { gateway: true });
    const service = ours('tokens', scene);
    if (stage.extent.quick) {
      const provider = await providerTakes(stage, 0);
      await stage.measure({ scenario: 'gateway', provider, concurrency: 16, variants: [through, service] });
      return;
    }
    for (const providerMs of [50, 0]) {
      const provider = await providerTakes(stage, providerMs);
      await stage.measure({ scenario: 'gateway', provider, concurrency: 64, variants: [through, service] });
    }
    const provider = await providerTakes(stage, 0);
    for (const concurrency of [50, 200]) {
      const variants = [
        through,
        await portkey(stage),
        await litellm(stage, 'litellm'),
        await litellm(stage, 'litellm per core'),
        await stub(stage),
      ];
      await stage.measure({ scenario: 'gateway', provider, concurrency, variants });
    }
  },
};

async function portkey(stage: Stage): Promise<Variant | null> {
  const { openai } = await stage.stubs();
  const server = await stage.optional('portkey', () => startPortkey(stage.say));
  if (!server) return null;
  const request = chat({ 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${openai}/v1` });
  return { name: 'portkey', job: { url: server.url, requests: [request] }, processes: [server] };
}

async function litellm(stage: Stage, name: keyof typeof LITELLM_WORKERS): Promise<Variant | null> {
  const { openai } = await stage.stubs();
  const server = await stage.optional(name, () => startLiteLlm(`${openai}/v1`, LITELLM_WORKERS[name], stage.say));
  return server && { name, job: { url: server.url, requests: [chat()] }, processes: [server] };
}
