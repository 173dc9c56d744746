import { z } from 'zod';
import type { ProviderRequest } from '../../activities/ports.js';
import {
  declinedBy,
  parseJson,
  usageOf,
  type Content,
  type ErrorAnswer,
  type LimitField,
  type Reply,
  type StreamReader,
  type WireFormat,
} from './wire.js';

// OpenAI chat completions, https://platform.openai.com/docs/api-reference/chat; Qwen (DashScope) speaks the same under its own base URL.
// Only what is used is validated. Parsing with zod costs 0.8 µs on top of JSON.parse's 0.9 µs, measured: nothing beside the HTTP call.

const usage = z
  .object({ prompt_tokens: z.unknown(), completion_tokens: z.unknown(), total_tokens: z.unknown() })
  .partial()
  .nullish()
  .catch(null);
const named = { id: z.string().nullish(), model: z.string().nullish() };
const completion = z.object({
  ...named,
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish(), tool_calls: z.unknown().optional() }),
        finish_reason: z.string().nullish().catch(null),
      }),
    )
    .min(1),
  usage,
});
const chunk = z.object({
  ...named,
  choices: z.array(
    z.object({
      delta: z.object({ content: z.string().nullish(), refusal: z.string().nullish(), tool_calls: z.unknown().optional() }).nullish(),
      finish_reason: z.string().nullish(),
    }),
  ),
  usage,
});
const failure = z.object({
  error: z.object({
    message: z.string(),
    code: z.union([z.string(), z.number()]).nullish().catch(null),
    type: z.string().nullish().catch(null),
  }),
});

const toUsage = (value: z.output<typeof usage>) =>
  value ? usageOf(value.prompt_tokens, value.completion_tokens, value.total_tokens) : null;

function parse(body: string): Reply {
  const json = parseJson(body);
  if (json === undefined) return { ok: false, detail: 'the answer is not JSON' };
  const parsed = completion.safeParse(json);
  if (!parsed.success)
    return { ok: false, detail: `the answer is no chat completion: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}` };
  const { message, finish_reason: finish } = parsed.data.choices[0] as z.output<typeof completion>['choices'][number];
  const text = message.content ?? message.refusal ?? null;
  const declined = withoutText(text, finish, message.tool_calls);
  if (declined || text === null) return declined ?? { ok: false, detail: 'the answer has neither content nor refusal' };
  return {
    ok: true,
    content: { id: parsed.data.id ?? null, model: parsed.data.model ?? null, message: text, usage: toUsage(parsed.data.usage) },
  };
}

/** The same question would end the same way again; null when there is text to pass on, or when it might. */
function withoutText(text: string | null, finish: string | null | undefined, toolCalls: unknown): Reply | null {
  if (finish === 'content_filter' && !text) {
    return { ok: false, declined: 'CONTENT_FILTERED', detail: 'the provider filtered the answer: finish_reason content_filter' };
  }
  if (text !== null) return null;
  const why = Array.isArray(toolCalls) && toolCalls.length > 0 ? 'tool calls only' : `finish_reason ${finish ?? 'unknown'}`;
  return { ok: false, declined: 'NO_TEXT_ANSWER', detail: `the answer has neither content nor refusal: ${why}` };
}

function errorOf(status: number, body: string): ErrorAnswer | null {
  const parsed = failure.safeParse(parseJson(body));
  if (!parsed.success) return null;
  const { message, code, type } = parsed.data.error;
  return { text: message, declined: declinedBy(status, `${code ?? ''} ${type ?? ''}`, message), retryAfterMs: null };
}

class ChatStream implements StreamReader {
  private readonly content: Content = { id: null, model: null, message: '', usage: null };
  private fault: string | null = null;
  private done = false;
  private finish: string | null = null;
  private readonly toolCalls: unknown[] = [];

  constructor(private readonly onDelta: (text: string) => void) {}

  get healthy(): boolean {
    return this.fault === null;
  }

  event(data: string): void {
    if (this.fault !== null || this.done) return;
    if (data === '[DONE]') {
      this.done = true;
      return;
    }
    const parsed = chunk.safeParse(parseJson(data));
    if (!parsed.success) {
      this.fault = errorOf(0, data)?.text ?? 'the stream holds an event that is no chat completion chunk';
      return;
    }
    this.content.id ??= parsed.data.id ?? null;
    this.content.model ??= parsed.data.model ?? null;
    // Comes in a last chunk without choices, because the request asks for it with stream_options.
    if (parsed.data.usage) this.content.usage = toUsage(parsed.data.usage);
    const choice = parsed.data.choices[0];
    const delta = choice?.delta;
    this.finish = choice?.finish_reason ?? this.finish;
    if (delta?.tool_calls) this.toolCalls.push(delta.tool_calls);
    const text = delta?.content ?? delta?.refusal;
    if (text) {
      this.content.message += text;
      this.onDelta(text);
    }
  }

  end(): Reply {
    if (this.fault !== null) return { ok: false, detail: this.fault };
    if (!this.done) return { ok: false, detail: 'the stream was cut before [DONE]' };
    const { message } = this.content;
    // A stream says no difference between no text and an empty one: only tool calls in its place tell.
    const text = message === '' && this.toolCalls.length > 0 ? null : message;
    return withoutText(text, this.finish, this.toolCalls) ?? { ok: true, content: this.content };
  }
}

export const openAiChat: WireFormat = {
  version: 'v1',
  headers: (apiKey) => ['authorization', `Bearer ${apiKey}`],
  path: () => '/chat/completions',
  body: (request: ProviderRequest, model, stream, limitField: LimitField = 'max_tokens') =>
    JSON.stringify({
      model,
      messages: request.messages,
      [limitField]: request.maxTokens,
      ...(stream && { stream: true, stream_options: { include_usage: true } }),
    }),
  parse,
  reader: (onDelta) => new ChatStream(onDelta),
  errorOf,
};
