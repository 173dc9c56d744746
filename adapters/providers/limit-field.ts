import { LIMIT_FIELDS, type LimitField } from './wire.js';

/** `auto` decides by address and model; the others are for servers that it judges wrongly. */
export const LIMIT_FIELD_SETTINGS = ['auto', ...LIMIT_FIELDS] as const;
export type LimitFieldSetting = (typeof LIMIT_FIELD_SETTINGS)[number];

/** OpenAI's reasoning models and all since GPT-5 refuse `max_tokens`, whoever serves them. */
const NEWER_MODEL = /(?:^|\/)(?:o\d|gpt-(?:[5-9]|[1-9]\d)|codex-)/i;
const OPENAI_HOST = /(?:^|\.)openai\.(?:com|azure\.com)$/i;

/**
 * Which member bounds the answer. OpenAI itself takes `max_completion_tokens` for every chat model. A server that is only compatible
 * may ignore it, and the answer would have no bound, so it gets `max_tokens` for all but the models that refuse that.
 */
export function limitFieldOf({ baseUrl, limitField }: { baseUrl: string; limitField?: LimitFieldSetting }): (model: string) => LimitField {
  if (limitField === 'max_tokens' || limitField === 'max_completion_tokens') return () => limitField;
  const isOpenAi = OPENAI_HOST.test(new URL(baseUrl).hostname);
  return (model) => (isOpenAi || NEWER_MODEL.test(model) ? 'max_completion_tokens' : 'max_tokens');
}
