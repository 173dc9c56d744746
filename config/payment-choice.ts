import { isIP } from 'node:net';

interface Surroundings {
  NODE_ENV?: string | undefined;
  LEAKY_PAYMENTS?: 'simulator' | 'stripe' | undefined;
  LEAKY_STRIPE_API_KEY?: string | undefined;
  LEAKY_OPENAI_BASE_URL?: string | undefined;
  LEAKY_OPENAI_API_KEY: string;
  LEAKY_GEMINI_BASE_URL?: string | undefined;
  LEAKY_GEMINI_API_KEY: string;
  LEAKY_QWEN_BASE_URL?: string | undefined;
  LEAKY_QWEN_API_KEY: string;
}

/**
 * Who takes the money must be said where tokens cost any: the simulator gives them away. It is the default only on a
 * machine of its own with stubs for providers.
 * @returns why nothing said is a fault; null where it is none
 */
export function silentSimulator(env: Surroundings): string | null {
  if (env.LEAKY_PAYMENTS !== undefined) return null;
  const why = [
    ...(env.NODE_ENV === 'production' ? ['NODE_ENV is production'] : []),
    ...(env.LEAKY_STRIPE_API_KEY ? ['LEAKY_STRIPE_API_KEY is set'] : []),
    ...(['OPENAI', 'GEMINI', 'QWEN'] as const).flatMap((name) => [
      ...(['', 'stub'].includes(env[`LEAKY_${name}_API_KEY`]) ? [] : [`LEAKY_${name}_API_KEY is set`]),
      ...(isElsewhere(env[`LEAKY_${name}_BASE_URL`]) ? [`LEAKY_${name}_BASE_URL is not on this machine`] : []),
    ]),
  ];
  if (why.length === 0) return null;
  return `LEAKY_PAYMENTS: say who takes the money, stripe or simulator (nobody pays); it has no default here, as ${why.join(', ')}`;
}

function isElsewhere(url: string | undefined): boolean {
  if (url === undefined) return false;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return !(host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.')));
}
