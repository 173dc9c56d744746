import type { LoadRequest } from '../load.js';
import type { Variant } from '../measure.js';
import type { Beside, Scene, Stage } from '../stage.js';

const PROMPT = 'Why do buckets leak?';

/** One consumption of one token for each person, with its JWT or its API key; from the organisation's pool if there is one. */
export function consumptions(scene: Scene, { keys = false, orgId }: { keys?: boolean; orgId?: string } = {}): LoadRequest[] {
  return scene.people.map(({ userId, token, apiKey }) => consumptionOf({ userId, orgId, ...(keys ? { apiKey } : { token }) }));
}

interface Spender {
  userId: string;
  orgId?: string | undefined;
  /** One of the two proves who asks */
  token?: string;
  apiKey?: string;
}

export const consumptionOf = ({ userId, orgId, token, apiKey }: Spender): LoadRequest => ({
  method: 'POST',
  path: '/api/v1/tokens/consume',
  headers: apiKey === undefined ? { authorization: `Bearer ${token}` } : { 'x-api-key': apiKey },
  body: JSON.stringify({ userId, ...(orgId !== undefined && { orgId }), provider: 'openai', tokens: 1, prompt: PROMPT }),
});

/** The same question in the provider's own format, for stubs and other gateways. */
export const chat = (headers: Record<string, string> = {}): LoadRequest => ({
  method: 'POST',
  path: '/v1/chat/completions',
  headers: { authorization: 'Bearer stub', ...headers },
  body: JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 1, messages: [{ role: 'user', content: PROMPT }] }),
});

/** The product: a request to its token service, or to its gateway with an API key. */
export function ours(name: string, scene: Scene, { gateway = false, orgId }: { gateway?: boolean; orgId?: string } = {}): Variant {
  const { target, settled, consumed } = scene;
  return {
    name,
    job: {
      url: gateway ? target.gateway : target.tokens,
      requests: consumptions(scene, { keys: gateway, ...(orgId !== undefined && { orgId }) }),
    },
    processes: target.processes,
    settled,
    told: consumed,
  };
}

export async function direct(stage: Stage): Promise<Variant> {
  const scene = await stage.scene();
  const beside = await stage.beside('direct');
  // Its database is a child of the system, whose own process idles.
  return { ...ours('direct', scene), job: { url: beside.url, requests: consumptions(scene) }, processes: systemAnd(scene, beside) };
}

export async function textbook(stage: Stage): Promise<Variant> {
  const scene = await stage.scene();
  const beside = await stage.beside('textbook');
  return { ...ours('textbook', scene), job: { url: beside.url, requests: consumptions(scene) }, processes: systemAnd(scene, beside) };
}

const systemAnd = ({ target }: Scene, beside: Beside) => [...target.processes, beside];

export async function stub(stage: Stage): Promise<Variant> {
  const { openai, process } = await stage.stubs();
  return { name: 'stub', job: { url: openai, requests: [chat()] }, processes: [process] };
}

/** Sets how long the provider takes and gives the words for it. */
export async function providerTakes(stage: Stage, ms: number): Promise<string> {
  await (await stage.stubs()).setLatency(ms);
  return `${ms} ms`;
}
