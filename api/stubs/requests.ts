import { z } from 'zod';
import type { StubCall } from './formats.js';

// The requests the stubs understand, of each real format: what shapes the answer is validated, the rest ignored.

const text = z.union([z.string(), z.array(z.looseObject({ text: z.string().optional() }))]).nullish();

const openAi = z.object({
  model: z.string().min(1),
  messages: z.array(z.object({ role: z.string(), content: text })).min(1),
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  stream: z.boolean().nullish(),
});

const generate = z.object({
  contents: z
    .array(z.object({ role: z.enum(['user', 'model']).nullish(), parts: z.array(z.looseObject({ text: z.string().optional() })) }))
    .min(1),
  systemInstruction: z.object({ parts: z.array(z.looseObject({ text: z.string().optional() })) }).nullish(),
  generationConfig: z.looseObject({ maxOutputTokens: z.int().positive().nullish() }).nullish(),
});

const plain = z.object({ prompt: z.string().min(1) });

/** As OpenAI answers for its reasoning models */
export class UnsupportedParameter extends Error {
  constructor() {
    super("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.");
  }
}
const NEWER_MODEL = /^(?:o\d|gpt-5)/;

const joined = (parts: { text?: string | undefined }[]) => parts.map((part) => part.text ?? '').join('');
const plainText = (content: z.output<typeof text>) => (typeof content === 'string' ? content : joined(content ?? []));

/** All readers throw ZodError on a body that is not of the format. */
export function readOpenAi(body: unknown): StubCall {
  const parsed = openAi.parse(body);
  if (NEWER_MODEL.test(parsed.model) && typeof parsed.max_tokens === 'number') throw new UnsupportedParameter();
  return {
    prompt: parsed.messages.map((message) => plainText(message.content)).join('\n'),
    model: parsed.model,
    maxTokens: parsed.max_completion_tokens ?? parsed.max_tokens ?? null,
    stream: parsed.stream ?? false,
  };
}

export function readGemini(body: unknown, model: string, stream: boolean): StubCall {
  const parsed = generate.parse(body);
  const all = [...(parsed.systemInstruction ? [parsed.systemInstruction] : []), ...parsed.contents];
  return {
    prompt: all.map(({ parts }) => joined(parts)).join('\n'),
    model,
    maxTokens: parsed.generationConfig?.maxOutputTokens ?? null,
    stream,
  };
}

export function readPlain(body: unknown, model: string): StubCall {
  return { prompt: plain.parse(body).prompt, model, maxTokens: null, stream: false };
}
