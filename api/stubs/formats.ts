import type { ProviderName } from '../../contracts/providers.js';
import type { Nonsense } from './behaviour.js';

/** A call as a stub understands it, whatever its format. */
export interface StubCall {
  prompt: string;
  model: string;
  maxTokens: number | null;
  stream: boolean;
}

export interface StubAnswer {
  id: string;
  model: string;
  text: string;
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** The limit ended it */
  truncated: boolean;
}

/** What a format makes of an answer. `faults` are the nonsense of a body that is JSON all the same. */
export interface StubFormat {
  answer(answer: StubAnswer, nonsense: Nonsense | null): string;
  /** The data of each event of the stream; the last of it is the end mark. */
  events(answer: StubAnswer, nonsense: Nonsense | null): string[];
  error(status: number, message: string): string;
  /** Of its errors; application/json when unset */
  errorType?: string;
}

const CHARS_PER_TOKEN = 4;
/** A stub has no tokenizer: four characters a token, rounded up, which is near the truth for English. */
export const countTokens = (text: string): number => Math.ceil(text.length / CHARS_PER_TOKEN);

/** Always the same answer to the same prompt. */
export function answerText(provider: ProviderName, prompt: string): string {
  const quoted = prompt.length > 200 ? `${prompt.slice(0, 200)}…` : prompt;
  return `${provider} stub: you said "${quoted}" (${prompt.length} characters, about ${countTokens(prompt)} tokens).`;
}

export function makeAnswer(provider: ProviderName, id: string, call: StubCall, prompt: string, usage: number | null): StubAnswer {
  const whole = answerText(provider, prompt);
  const limit = call.maxTokens === null ? Infinity : call.maxTokens * CHARS_PER_TOKEN;
  const text = whole.length > limit ? whole.slice(0, limit) : whole;
  const promptTokens = countTokens(call.prompt);
  const completionTokens = usage === null ? countTokens(text) : usage - promptTokens;
  return {
    id,
    model: call.model,
    text,
    promptTokens,
    completionTokens,
    totalTokens: promptTokens + completionTokens,
    truncated: text.length < whole.length,
  };
}

/** Words with the space before them, as models stream them. */
export const pieces = (text: string): string[] => text.match(/\s*\S+\s*$|\s*\S+/g) ?? [text];

const ABSURD = 1_000_000_000;

function openAiUsage(answer: StubAnswer, nonsense: Nonsense | null) {
  if (nonsense === 'no-usage') return {};
  const completion = nonsense === 'negative-usage' ? -5 : nonsense === 'huge-usage' ? ABSURD : answer.completionTokens;
  return { usage: { prompt_tokens: answer.promptTokens, completion_tokens: completion, total_tokens: answer.promptTokens + completion } };
}

const created = () => Math.floor(Date.now() / 1000);

/** https://platform.openai.com/docs/api-reference/chat */
export const openAiFormat: StubFormat = {
  answer(answer, nonsense) {
    const choice = {
      index: 0,
      message: { role: 'assistant', content: answer.text, refusal: null },
      logprobs: null,
      finish_reason: answer.truncated ? 'length' : 'stop',
    };
    return JSON.stringify({
      id: `chatcmpl-${answer.id}`,
      object: 'chat.completion',
      created: created(),
      model: answer.model,
      ...(nonsense !== 'missing' && { choices: [choice] }),
      ...openAiUsage(answer, nonsense),
    });
  },
  events(answer, nonsense) {
    const head = { id: `chatcmpl-${answer.id}`, object: 'chat.completion.chunk', created: created(), model: answer.model };
    const choice = (delta: object, finish: string | null) =>
      JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] });
    if (nonsense === 'missing') return [JSON.stringify(head), '[DONE]'];
    return [
      choice({ role: 'assistant', content: '' }, null),
      ...pieces(answer.text).map((content) => choice({ content }, null)),
      choice({}, answer.truncated ? 'length' : 'stop'),
      JSON.stringify({ ...head, choices: [], ...openAiUsage(answer, nonsense) }),
      '[DONE]',
    ];
  },
  error: (status, message) =>
    JSON.stringify({ error: { message, type: OPENAI_TYPES[status] ?? 'server_error', param: null, code: OPENAI_CODES[status] ?? null } }),
};

const OPENAI_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'invalid_request_error',
  404: 'invalid_request_error',
  429: 'requests',
};
const OPENAI_CODES: Record<number, string> = { 401: 'invalid_api_key', 404: 'model_not_found', 429: 'rate_limit_exceeded' };

function geminiUsage(answer: StubAnswer, nonsense: Nonsense | null) {
  if (nonsense === 'no-usage') return {};
  const candidates = nonsense === 'negative-usage' ? -5 : nonsense === 'huge-usage' ? ABSURD : answer.completionTokens;
  return {
    usageMetadata: {
      promptTokenCount: answer.promptTokens,
      candidatesTokenCount: candidates,
      totalTokenCount: answer.promptTokens + candidates,
    },
  };
}

/** https://ai.google.dev/api/generate-content */
export const geminiFormat: StubFormat = {
  answer: (answer, nonsense) => JSON.stringify(geminiBody(answer, answer.text, answer.truncated ? 'MAX_TOKENS' : 'STOP', nonsense)),
  events(answer, nonsense) {
    const texts = pieces(answer.text);
    return texts.map((text, index) => {
      const last = index === texts.length - 1;
      return JSON.stringify(geminiBody(answer, text, last ? (answer.truncated ? 'MAX_TOKENS' : 'STOP') : null, nonsense));
    });
  },
  error: (status, message) => JSON.stringify({ error: { code: status, message, status: GOOGLE_STATUS[status] ?? 'INTERNAL' } }),
};

function geminiBody(answer: StubAnswer, text: string, finishReason: string | null, nonsense: Nonsense | null) {
  const candidate = { content: { parts: [{ text }], role: 'model' }, ...(finishReason && { finishReason }), index: 0 };
  return {
    ...(nonsense !== 'missing' && { candidates: [candidate] }),
    ...geminiUsage(answer, nonsense),
    modelVersion: answer.model,
    responseId: answer.id,
  };
}

const GOOGLE_STATUS: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};
