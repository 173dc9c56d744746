import { z } from 'zod';
import { local, type AddressEnv } from './addresses.js';
import { count, secret, type Env } from './fields.js';
import type { schema as consumption } from './consumption.js';
import { baseUrl } from './network.js';
import { isPublicHost, type Rule } from './rules.js';

const limitField = () => z.enum(['auto', 'max_tokens', 'max_completion_tokens']).default('auto');
const LIMIT_FIELD = 'Member of the request that bounds the answer; auto: by address and model';

export const schema = {
  LEAKY_PROVIDER_TIMEOUT_MS: count(5_000).describe('Limit of one try'),
  LEAKY_PROVIDER_ATTEMPTS: count(3).describe('Tries before 502'),
  LEAKY_PROVIDER_BACKOFF_MS: count(1_000, 0).describe('Wait before the second try; doubles'),
  LEAKY_PROVIDER_BULKHEAD: count(1_000).describe('Calls in flight per provider before 503; one caller has its LEAKY_CALLER_SHARE of them'),
  LEAKY_PROVIDER_BREAKER_WINDOW_MS: count(10_000, 1_000).describe('The breaker judges the calls of this window'),
  LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS: count(20).describe('Fewer calls in the window never open the breaker'),
  LEAKY_PROVIDER_BREAKER_MINIMUM_CALLERS: count(3).describe(
    'The breaker opens for all when the calls of so many callers fail; those of fewer open it for these callers alone',
  ),
  LEAKY_PROVIDER_BREAKER_OPEN_MS: count(30_000).describe('How long the breaker stays open before a trial call'),
  LEAKY_OPENAI_BASE_URL: baseUrl().optional().describe('Where OpenAI is, with or without /v1; unset: the stub'),
  LEAKY_OPENAI_API_KEY: secret(z.string().default('stub').describe('Sent to OpenAI')),
  LEAKY_OPENAI_MODEL: z.string().default('gpt-4o-mini').describe('Model that answers consumptions'),
  LEAKY_OPENAI_LIMIT_FIELD: limitField().describe(LIMIT_FIELD),
  LEAKY_GEMINI_BASE_URL: baseUrl().optional().describe('Where Gemini is, with or without /v1beta; unset: the stub'),
  LEAKY_GEMINI_API_KEY: secret(z.string().default('stub').describe('Sent to Gemini')),
  LEAKY_GEMINI_MODEL: z.string().default('gemini-2.0-flash').describe('Model that answers consumptions'),
  LEAKY_QWEN_BASE_URL: baseUrl().optional().describe('Where Qwen is, with or without /v1; unset: the stub'),
  LEAKY_QWEN_API_KEY: secret(z.string().default('stub').describe('Sent to Qwen')),
  LEAKY_QWEN_MODEL: z.string().default('qwen-plus').describe('Model that answers consumptions'),
  LEAKY_QWEN_LIMIT_FIELD: limitField().describe(LIMIT_FIELD),
  LEAKY_STUB_LATENCY_MS: count(0, 0).describe('How long the stubs take to answer'),
};

export type ProviderEnv = Env<typeof schema>;

const STUB_KEY = 'stub';

/** A provider on the internet answers 401 to the key of the stubs, after a call has been accepted. */
const needsKey = (name: 'OPENAI' | 'GEMINI' | 'QWEN'): Rule<Env<typeof schema>> => ({
  for: 'providers',
  of: [`LEAKY_${name}_API_KEY`, `LEAKY_${name}_BASE_URL`],
  fault(env) {
    const [url, key] = [env[`LEAKY_${name}_BASE_URL`], env[`LEAKY_${name}_API_KEY`]];
    if (url === undefined) return null;
    const { protocol, hostname } = new URL(url);
    const real = protocol === 'https:' || isPublicHost(hostname);
    return real && (key === STUB_KEY || key.trim() === '') ? `required for ${hostname}` : null;
  },
});

export const rules = [needsKey('OPENAI'), needsKey('GEMINI'), needsKey('QWEN')];

export const shape = (env: Env<typeof schema> & AddressEnv & Pick<Env<typeof consumption>, 'LEAKY_CALLER_SHARE'>) => ({
  providers: {
    timeoutMs: env.LEAKY_PROVIDER_TIMEOUT_MS,
    attempts: env.LEAKY_PROVIDER_ATTEMPTS,
    backoffMs: env.LEAKY_PROVIDER_BACKOFF_MS,
    bulkhead: env.LEAKY_PROVIDER_BULKHEAD,
    callerShare: env.LEAKY_CALLER_SHARE,
    breaker: {
      windowMs: env.LEAKY_PROVIDER_BREAKER_WINDOW_MS,
      minimumCalls: env.LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS,
      minimumCallers: env.LEAKY_PROVIDER_BREAKER_MINIMUM_CALLERS,
      openMs: env.LEAKY_PROVIDER_BREAKER_OPEN_MS,
    },
    openai: {
      baseUrl: env.LEAKY_OPENAI_BASE_URL ?? local(env, env.LEAKY_STUB_OPENAI_PORT),
      apiKey: env.LEAKY_OPENAI_API_KEY,
      model: env.LEAKY_OPENAI_MODEL,
      limitField: env.LEAKY_OPENAI_LIMIT_FIELD,
    },
    gemini: {
      baseUrl: env.LEAKY_GEMINI_BASE_URL ?? local(env, env.LEAKY_STUB_GEMINI_PORT),
      apiKey: env.LEAKY_GEMINI_API_KEY,
      model: env.LEAKY_GEMINI_MODEL,
    },
    qwen: {
      baseUrl: env.LEAKY_QWEN_BASE_URL ?? local(env, env.LEAKY_STUB_QWEN_PORT),
      apiKey: env.LEAKY_QWEN_API_KEY,
      model: env.LEAKY_QWEN_MODEL,
      limitField: env.LEAKY_QWEN_LIMIT_FIELD,
    },
  },
  stubLatencyMs: env.LEAKY_STUB_LATENCY_MS,
});
