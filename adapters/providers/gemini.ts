import { z } from 'zod';
import type { ProviderAnswer, ProviderRequest } from '../../activities/ports.js';
import { parseJson, usageOf, type Content, type Reply, type StreamReader, type WireFormat } from './wire.js';

// Gemini generateContent, https://ai.google.dev/api/generate-content. A stream is a row of the same objects; it has no end mark of
// its own, so the finishReason is the mark.

const answer = z.object({
  responseId: z.string().nullish(),
  modelVersion: z.string().nullish(),
  candidates: z
    .array(
      z.object({
        content: z.object({ parts: z.array(z.object({ text: z.string().nullish(), thought: z.boolean().nullish() })).nullish() }).nullish(),
        finishReason: z.string().nullish(),
      }),
    )
    .nullish(),
  promptFeedback: z.object({ blockReason: z.string().nullish() }).nullish(),
  usageMetadata: z
    .object({
      promptTokenCount: z.unknown(),
      candidatesTokenCount: z.unknown(),
      thoughtsTokenCount: z.unknown(),
      totalTokenCount: z.unknown(),
    })
    .partial()
    .nullish()
    .catch(null),
});
type Answer = z.output<typeof answer>;
const failure = z.object({ error: z.object({ message: z.string() }) });

/** Thoughts are billed as output. A count of zero is left out of the JSON, as protobuf does with defaults. */
function toUsage(meta: Answer['usageMetadata']): ProviderAnswer['usage'] {
  if (!meta) return null;
  const candidates = meta.candidatesTokenCount ?? 0;
  const thoughts = meta.thoughtsTokenCount ?? 0;
  if (typeof candidates !== 'number' || typeof thoughts !== 'number' || candidates < 0 || thoughts < 0) return null;
  return usageOf(meta.promptTokenCount, candidates + thoughts, meta.totalTokenCount);
}

function textOf(parsed: Answer): string {
  const parts = parsed.candidates?.[0]?.content?.parts ?? [];
  return parts.map((part) => (part.thought ? '' : (part.text ?? ''))).join('');
}

function parse(body: string): Reply {
  const json = parseJson(body);
  if (json === undefined) return { ok: false, detail: 'the answer is not JSON' };
  const parsed = answer.safeParse(json);
  if (!parsed.success)
    return { ok: false, detail: `the answer is no generateContent answer: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}` };
  const { data } = parsed;
  if (data.promptFeedback?.blockReason) return blocked(data.promptFeedback.blockReason);
  const candidate = data.candidates?.[0];
  // A candidate may be empty (the limit was spent on thoughts), but then it says why it ended.
  if (!candidate || (!candidate.content?.parts && !candidate.finishReason)) return { ok: false, detail: 'the answer has no candidate' };
  return {
    ok: true,
    content: {
      id: data.responseId ?? null,
      model: data.modelVersion ?? null,
      message: textOf(data),
      usage: toUsage(data.usageMetadata),
    },
  };
}

const blocked = (reason: string): Reply => ({ ok: false, final: true, detail: `the provider blocked the prompt: ${reason}` });

function errorText(body: string): string | null {
  const parsed = failure.safeParse(parseJson(body));
  return parsed.success ? parsed.data.error.message : null;
}

class GenerateStream implements StreamReader {
  private readonly content: Content = { id: null, model: null, message: '', usage: null };
  private fault: Reply | null = null;
  private done = false;

  constructor(private readonly onDelta: (text: string) => void) {}

  get healthy(): boolean {
    return this.fault === null;
  }

  event(data: string): void {
    if (this.fault !== null) return;
    const json = parseJson(data);
    const parsed = answer.safeParse(json);
    const isError = failure.safeParse(json).success;
    if (isError || !parsed.success) {
      this.fault = { ok: false, detail: errorText(data) ?? 'the stream holds an event that is no generateContent answer' };
      return;
    }
    if (parsed.data.promptFeedback?.blockReason) {
      this.fault = blocked(parsed.data.promptFeedback.blockReason);
      return;
    }
    this.content.id ??= parsed.data.responseId ?? null;
    this.content.model ??= parsed.data.modelVersion ?? null;
    if (parsed.data.usageMetadata) this.content.usage = toUsage(parsed.data.usageMetadata);
    const text = textOf(parsed.data);
    if (text !== '') {
      this.content.message += text;
      this.onDelta(text);
    }
    if (parsed.data.candidates?.[0]?.finishReason) this.done = true;
  }

  end(): Reply {
    if (this.fault !== null) return this.fault;
    if (!this.done) return { ok: false, detail: 'the stream was cut before its finishReason' };
    return { ok: true, content: this.content };
  }
}

const ROLES = { user: 'user', assistant: 'model' } as const;

export const gemini: WireFormat = {
  headers: (apiKey) => ['x-goog-api-key', apiKey],
  path: (model, stream) => `/v1beta/models/${encodeURIComponent(model)}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  body: (request: ProviderRequest) => {
    const system = request.messages.filter((message) => message.role === 'system');
    const contents = request.messages.flatMap(({ role, content }) =>
      role === 'system' ? [] : [{ role: ROLES[role], parts: [{ text: content }] }],
    );
    return JSON.stringify({
      ...(system.length > 0 && { systemInstruction: { parts: system.map(({ content }) => ({ text: content })) } }),
      contents,
      generationConfig: { maxOutputTokens: request.maxTokens },
    });
  },
  parse,
  reader: (onDelta) => new GenerateStream(onDelta),
  errorText,
};
