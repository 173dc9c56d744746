import type { ProviderAnswer, ProviderRequest } from '../../activities/ports.js';

/** What a provider said, whatever its format. `id` and `model` are null when the provider named none. */
export interface Content {
  id: string | null;
  model: string | null;
  message: string;
  usage: ProviderAnswer['usage'];
}

/** `final`: asking again can't help (the provider understood and declined). */
export type Reply = { ok: true; content: Content } | { ok: false; detail: string; final?: boolean };

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
  /** Flat name, value, name, value: what undici takes without copying */
  headers(apiKey: string): string[];
  path(model: string, stream: boolean): string;
  body(request: ProviderRequest, model: string, stream: boolean): string;
  parse(body: string): Reply;
  reader(onDelta: (text: string) => void): StreamReader;
  /** The provider's own words in an error body; null when it isn't of the format. */
  errorText(body: string): string | null;
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
