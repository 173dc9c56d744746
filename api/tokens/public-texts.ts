import type { ErrorCode } from '../../contracts/errors.js';

/**
 * What a caller is told of a provider's fault or refusal. The operator's detail, with the provider's own words, is in the
 * consumption; these texts are constant, so that nothing a provider says of our account reaches a caller.
 */
const TEXTS: Partial<Record<ErrorCode, string>> = {
  PROVIDER_FAILED: 'provider call failed',
  PROVIDER_TIMEOUT: 'the provider did not answer in time',
  PROVIDER_RATE_LIMITED: 'the provider takes no more calls of this service for the moment; nothing was charged',
  PROVIDER_QUOTA_EXHAUSTED: "this service's own quota at the provider is used up; nothing was charged",
  PROVIDER_REJECTED: 'the provider refused the request as invalid; the same request will be refused again',
  CONTEXT_TOO_LONG: 'the prompt is longer than the model takes; shorten it or choose another model',
  UNKNOWN_MODEL: 'the provider has no such model, or this service may not use it',
  CONTENT_FILTERED: "the provider's content filter held the prompt or the answer back",
  NO_TEXT_ANSWER: 'the model answered without text; nothing was charged',
  ANSWER_TOO_LARGE: 'the answer is larger than this service takes; ask for fewer tokens',
};

export const publicText = (code: ErrorCode, detail: string): string => TEXTS[code] ?? detail;
