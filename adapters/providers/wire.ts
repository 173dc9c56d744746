import type { ProviderAnswer, ProviderRequest } from '../../activities/ports.js';

/** What a provider said, whatever its format. `id` and `model` are null when the provider named none. */
export interface Content {
  id: string | null;
  model: string | null;
  message: string;
  usage: ProviderAnswer['usage'];
}

/**
 * Why asking again would bring the same: the provider understood and declined, or answered with what cannot be passed on. It says
 * nothing about the provider's health.
 */
export type Declined = 'CONTENT_FILTERED' | 'NO_TEXT_ANSWER' | 'CONTEXT_TOO_LONG' | 'UNKNOWN_MODEL' | 'PROVIDER_QUOTA_EXHAUSTED';

export type Reply = { ok: true; content: Content } | { ok: false; detail: string; declined?: Declined };

/** What an error body says. */
export interface ErrorAnswer {
  /** The provider's own words */
  text: string;
  declined: Declined | null;
  /** Some providers say in the body when to come back */
  retryAfterMs: number | null;
}

/** The member that bounds an answer: newer OpenAI models refuse the one, some compatible servers do not know the other. */
export const LIMIT_FIELDS = ['max_tokens', 'max_completion_tokens'] as const;
export type LimitField = (typeof LIMIT_FIELDS)[number];

/** Reads one streamed answer. After a fault the reader takes no more events; `end` then reports that fault. */
export interface StreamReader {
  event(data: string): void;
  /** False as soon as the stream can no longer become an answer */
  readonly healthy: boolean;
  /** The whole answer, or why the stream was not one (a stream without its end mark was cut). */
  end(): Reply;
}

/** One for each wire format: pure, no I/O. */
export interface WireFormat {
  /** The path segment of its version: prepended unless the base URL ends with one */
  version: string;
  /** Flat name, value, name, value: what undici takes without copying */
  headers(apiKey: string): string[];
  /** Below the version */
  path(model: string, stream: boolean): string;
  /** @param limitField for formats that have two of them */
  body(request: ProviderRequest, model: string, stream: boolean, limitField?: LimitField): string;
  parse(body: string): Reply;
  reader(onDelta: (text: string) => void): StreamReader;
  /** Null when the body of the error isn't of the format. */
  errorOf(status: number, body: string): ErrorAnswer | null;
}

const TOO_LONG =
  /context.?length|maximum context|input length|input token count|too many (?:input )?tokens|prompt is too long|reduce the length/i;
const FILTERED = /content.?filter|content.?policy|data.?inspection|safety system/i;
const NO_MODEL = /model.{0,120}(?:does not exist|not found|not exist|not supported)/is;
/** In codes only: the texts of a rate limit that passes within a minute speak of quota and billing too. */
const NO_QUOTA = /insufficient.?quota|billing|arrearage|allocation.?quota|PerDay/i;

/** Why a 4xx is final, from all codes of its body and its words; null when neither tells. A fault of the provider's own never is. */
export function declinedBy(status: number, codes: string, text: string): Declined | null {
  if (status < 400 || status >= 500) return null;
  const said = `${codes} ${text}`;
  if (status === 402 || NO_QUOTA.test(codes)) return 'PROVIDER_QUOTA_EXHAUSTED';
  if (status === 429) return null;
  if (status === 413 || TOO_LONG.test(said)) return 'CONTEXT_TOO_LONG';
  if (codes.includes('model_not_found') || NO_MODEL.test(text)) return 'UNKNOWN_MODEL';
  return FILTERED.test(said) ? 'CONTENT_FILTERED' : null;
}

/** A parsed value, or undefined when the text isn't JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * Token counts that are no counts (missing, negative, fractional, not numbers) become null, so that the answer the provider was
 * paid for isn't thrown away: who charges falls back to its estimate. Large counts pass: only who holds the quota knows what is absurd.
 */
export function usageOf(prompt: unknown, completion: unknown, total: unknown): ProviderAnswer['usage'] {
  if (!isCount(prompt) || !isCount(completion)) return null;
  if (total !== undefined && !isCount(total)) return null;
  return { promptTokens: prompt, completionTokens: completion, totalTokens: total ?? prompt + completion };
}
