import { z } from 'zod';
import type { ProviderAnswer, ProviderRequest } from '../../activities/ports.js';
import { declinedBy, parseJson, usageOf, type Content, type ErrorAnswer, type Reply, type StreamReader, type WireFormat } from './wire.js';

// Gemini generateContent, https://ai.google.dev/api/generate-content. A stream is a row of the same objects; it has no end mark of
// its own, so the finishReason is the mark.

const answer = z.object({
  responseId: z.string().nullish(),
  modelVersion: z.string().nullish(),
  candidates: z
    .array(
      z.object({
        content: z
          .object({
            parts: z
              .array(z.object({ text: z.string().nullish(), thought: z.boolean().nullish(), functionCall: z.unknown().optional() }))
              .nullish(),
          })
          .nullish(),
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
const failure = z.object({
  error: z.object({
    message: z.string(),
    status: z.string().nullish().catch(null),
    details: z.array(z.looseObject({})).nullish().catch(null),
  }),
});
/** google.rpc.QuotaFailure and google.rpc.RetryInfo, among the details */
const quotaFailure = z.object({ violations: z.array(z.object({ quotaId: z.string() })) });
const retryInfo = z.object({ retryDelay: z.string().regex(/^\d+(\.\d+)?s$/) });
/** Finish reasons of a candidate that was held back for what it says */
const FILTERED = /SAFETY|RECITATION|BLOCKLIST|PROHIBITED_CONTENT|SPII/;

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
  const declined = withoutText(textOf(data), candidate);
  if (declined) return declined;
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

const blocked = (reason: string): Reply => ({
  ok: false,
  declined: 'CONTENT_FILTERED',
  detail: `the provider blocked the prompt: ${reason}`,
});

type Candidate = NonNullable<Answer['candidates']>[number];

/** No text at the end of thoughts (MAX_TOKENS) is an answer; in place of what was held back, or beside function calls, it is none. */
function withoutText(text: string, { finishReason, content }: Candidate): Reply | null {
  if (text !== '') return null;
  if (finishReason && FILTERED.test(finishReason)) {
    return { ok: false, declined: 'CONTENT_FILTERED', detail: `the provider held the answer back: ${finishReason}` };
  }
  const calls = content?.parts?.some((part) => part.functionCall !== undefined) ?? false;
  return calls ? { ok: false, declined: 'NO_TEXT_ANSWER', detail: 'the answer has function calls only' } : null;
}

function errorOf(status: number, body: string): ErrorAnswer | null {
  const parsed = failure.safeParse(parseJson(body));
  if (!parsed.success) return null;
  const { message, status: code, details } = parsed.data.error;
  const quotas = (details ?? []).flatMap((detail) => quotaFailure.safeParse(detail).data?.violations ?? []).map(({ quotaId }) => quotaId);
  const delay = (details ?? []).map((detail) => retryInfo.safeParse(detail).data?.retryDelay).find((value) => value !== undefined);
  return {
    text: message,
    // A path without this model is 404 in this shape; any other path is 404 as HTML.
    declined: status === 404 ? 'UNKNOWN_MODEL' : declinedBy(status, [code ?? '', ...quotas].join(' '), message),
    retryAfterMs: delay === undefined ? null : Math.ceil(Number.parseFloat(delay) * 1000),
  };
}

class GenerateStream implements StreamReader {
  private readonly content: Content = { id: null, model: null, message: '', usage: null };
  private fault: Reply | null = null;
  private last: Candidate | null = null;

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
      this.fault = { ok: false, detail: errorOf(0, data)?.text ?? 'the stream holds an event that is no generateContent answer' };
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
    const candidate = parsed.data.candidates?.[0];
    if (candidate?.finishReason) this.last = candidate;
  }

  end(): Reply {
    if (this.fault !== null) return this.fault;
    if (!this.last) return { ok: false, detail: 'the stream was cut before its finishReason' };
    return withoutText(this.content.message, this.last) ?? { ok: true, content: this.content };
  }
}

const ROLES = { user: 'user', assistant: 'model' } as const;

export const gemini: WireFormat = {
  version: 'v1beta',
  headers: (apiKey) => ['x-goog-api-key', apiKey],
  path: (model, stream) => `/models/${encodeURIComponent(model)}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
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
  errorOf,
};
