import type { Refusal } from './behaviour.js';
import { geminiFormat, type StubFormat } from './formats.js';

/** `events`: the same as a stream; absent where the provider answers with an error before one begins. */
interface Declined {
  status: number;
  body: string;
  events?: string[];
}

const openAiError = (status: number, message: string, type: string, code: string): Declined => ({
  status,
  body: JSON.stringify({ error: { message, type, param: null, code } }),
});
const openAiChoice = (message: object, finish: string): Declined => ({
  status: 200,
  body: JSON.stringify({ choices: [{ message, finish_reason: finish }] }),
  events: [JSON.stringify({ choices: [{ index: 0, delta: message, finish_reason: finish }] }), '[DONE]'],
});

const toolCall = { id: 'call_1', type: 'function', function: { name: 'lookup', arguments: '{}' } };

/** As OpenAI words them, https://platform.openai.com/docs/guides/error-codes */
const OPENAI: Record<Refusal, Declined> = {
  context: openAiError(
    400,
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 190000 tokens.",
    'invalid_request_error',
    'context_length_exceeded',
  ),
  model: openAiError(404, 'The model `gone` does not exist or you do not have access to it.', 'invalid_request_error', 'model_not_found'),
  quota: openAiError(
    429,
    'You exceeded your current quota, please check your plan and billing details.',
    'insufficient_quota',
    'insufficient_quota',
  ),
  prompt: openAiError(400, 'The response was filtered due to the prompt.', 'invalid_request_error', 'content_filter'),
  answer: openAiChoice({ content: null }, 'content_filter'),
  tools: openAiChoice({ content: null, tool_calls: [toolCall] }, 'tool_calls'),
};

const googleError = (code: number, status: string, message: string, details: object[] = []): Declined => ({
  status: code,
  body: JSON.stringify({ error: { code, message, status, details } }),
});
const googleAnswer = (answer: object): Declined => ({ status: 200, body: JSON.stringify(answer), events: [JSON.stringify(answer)] });

/** https://ai.google.dev/gemini-api/docs/troubleshooting */
const GEMINI: Record<Refusal, Declined> = {
  context: googleError(400, 'INVALID_ARGUMENT', 'The input token count (1900000) exceeds the maximum number of tokens allowed (1048576).'),
  model: googleError(404, 'NOT_FOUND', 'models/gone is not found for API version v1beta. Call ListModels to see the available models.'),
  quota: googleError(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota, please check your plan and billing details.', [
    {
      '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
      violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }],
    },
  ]),
  prompt: googleAnswer({ promptFeedback: { blockReason: 'SAFETY' } }),
  answer: googleAnswer({ candidates: [{ finishReason: 'SAFETY', index: 0 }] }),
  tools: googleAnswer({ candidates: [{ content: { parts: [{ functionCall: { name: 'lookup', args: {} } }] }, finishReason: 'STOP' }] }),
};

export const refusalsOf = (format: StubFormat): Record<Refusal, Declined> => (format === geminiFormat ? GEMINI : OPENAI);
