import assert from 'node:assert/strict';
import fc from 'fast-check';
import { prefixOf } from '../../adapters/providers/client.js';
import { gemini } from '../../adapters/providers/gemini.js';
import { limitFieldOf, type LimitFieldSetting } from '../../adapters/providers/limit-field.js';
import { openAiChat } from '../../adapters/providers/openai-chat.js';
import type { WireFormat } from '../../adapters/providers/wire.js';
import type { ChatMessage } from '../../activities/ports.js';
import { geminiFormat, openAiFormat, type StubAnswer } from '../../api/stubs/formats.js';
import { readGemini, readOpenAi } from '../../api/stubs/requests.js';
import { ask } from './setup.js';

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 });
const messages = fc.array(fc.record({ role: fc.constantFrom<ChatMessage['role']>('user', 'assistant'), content: text }), {
  minLength: 1,
  maxLength: 5,
});
const tokens = fc.integer({ min: 0, max: 1_000_000 });
const answers: fc.Arbitrary<StubAnswer> = fc
  .record({
    id: fc.uuid(),
    model: fc.stringMatching(/^[a-z0-9.-]{1,20}$/),
    text,
    promptTokens: tokens,
    completionTokens: tokens,
    truncated: fc.boolean(),
  })
  .map((answer) => ({ ...answer, totalTokens: answer.promptTokens + answer.completionTokens }));

const formats = [
  { name: 'OpenAI', wire: openAiChat, stub: openAiFormat, read: (body: string) => readOpenAi(JSON.parse(body)) },
  { name: 'Gemini', wire: gemini, stub: geminiFormat, read: (body: string) => readGemini(JSON.parse(body), 'm', false) },
];

for (const { name, wire, stub, read } of formats) {
  describe(`the ${name} format`, () => {
    it('carries every message and the token limit to the provider', () => {
      fc.assert(
        fc.property(messages, fc.integer({ min: 1, max: 100_000 }), (list, maxTokens) => {
          const call = read(wire.body({ ...ask('openai', ''), messages: list, maxTokens }, 'm', false));
          assert.equal(call.prompt, list.map((message) => message.content).join('\n'));
          assert.equal(call.maxTokens, maxTokens);
        }),
      );
    });

    it('reads back any answer: text, id, model and usage', () => {
      fc.assert(
        fc.property(answers, (answer) => {
          const reply = wire.parse(stub.answer(answer, null));
          assert(reply.ok);
          assert.equal(reply.content.message, answer.text);
          assert.match(reply.content.id ?? '', new RegExp(`${answer.id}$`));
          assert.equal(reply.content.model, answer.model);
          const { promptTokens, completionTokens, totalTokens } = answer;
          assert.deepEqual(reply.content.usage, { promptTokens, completionTokens, totalTokens });
        }),
      );
    });

    it('reads a stream to the same content as the whole answer, and any cut of it as a failure', () => {
      fc.assert(
        fc.property(answers, fc.nat(), (answer, seed) => {
          const events = stub.events(answer, null);
          const deltas: string[] = [];
          const whole = wire.reader((delta) => deltas.push(delta));
          events.forEach((event) => whole.event(event));
          assert.deepEqual(whole.end(), wire.parse(stub.answer(answer, null)));
          assert.equal(deltas.join(''), answer.text);
          const cut = wire.reader(() => undefined);
          events.slice(0, seed % events.length).forEach((event) => cut.event(event));
          assert.equal(cut.end().ok, false);
        }),
      );
    });

    it('never throws, whatever JSON or text a provider sends', () => {
      fc.assert(
        fc.property(fc.oneof(fc.json(), fc.string()), (body) => {
          const reply = wire.parse(body);
          if (reply.ok) assert.equal(typeof reply.content.message, 'string');
          wire.errorOf(400, body);
          const reader = wire.reader(() => undefined);
          reader.event(body);
          reader.end();
        }),
      );
    });

    it('takes only whole, non-negative counts for usage', () => {
      const odd = fc.oneof(fc.integer({ max: -1 }), fc.double({ min: 0.1, max: 0.9 }), fc.constantFrom(1e300, -0.5));
      fc.assert(
        fc.property(answers, odd, (answer, count) => {
          const reply = wire.parse(stub.answer({ ...answer, completionTokens: count, totalTokens: count }, null));
          assert(reply.ok);
          assert.equal(reply.content.usage, null);
        }),
      );
    });
  });
}

describe('the Gemini format in particular', () => {
  it('puts system messages aside and calls the assistant "model"', () => {
    const list: ChatMessage[] = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
    ];
    assert.deepEqual(JSON.parse(gemini.body({ ...ask('gemini', ''), messages: list, maxTokens: 9 }, 'm', false)), {
      systemInstruction: { parts: [{ text: 'be brief' }] },
      contents: [
        { role: 'user', parts: [{ text: 'hi' }] },
        { role: 'model', parts: [{ text: 'hello' }] },
      ],
      generationConfig: { maxOutputTokens: 9 },
    });
  });

  it('takes a blocked prompt for a final refusal, whole or streamed', () => {
    const body = JSON.stringify({ promptFeedback: { blockReason: 'SAFETY' } });
    const reader = gemini.reader(() => undefined);
    reader.event(body);
    for (const reply of [gemini.parse(body), reader.end()])
      assert(!reply.ok && reply.declined === 'CONTENT_FILTERED' && reply.detail.includes('SAFETY'));
  });

  it('bills thoughts as output but does not show them', () => {
    const reply = gemini.parse(
      JSON.stringify({
        candidates: [{ content: { parts: [{ text: 'hmm', thought: true }, { text: 'yes' }] }, finishReason: 'STOP' }],
        usageMetadata: { promptTokenCount: 2, candidatesTokenCount: 1, thoughtsTokenCount: 7, totalTokenCount: 10 },
      }),
    );
    assert(reply.ok);
    assert.equal(reply.content.message, 'yes');
    assert.deepEqual(reply.content.usage, { promptTokens: 2, completionTokens: 8, totalTokens: 10 });
  });
});

describe('the member that bounds an answer', () => {
  const openAi = 'https://api.openai.com/v1';
  const other = 'http://127.0.0.1:9/v1';
  const table: [string, string, LimitFieldSetting, string][] = [
    [openAi, 'gpt-4o-mini', 'auto', 'max_completion_tokens'],
    [openAi, 'o3-mini', 'auto', 'max_completion_tokens'],
    [openAi, 'gpt-4o-mini', 'max_tokens', 'max_tokens'],
    ['https://mine.openai.azure.com/openai/v1', 'gpt-5', 'auto', 'max_completion_tokens'],
    [other, 'o1', 'auto', 'max_completion_tokens'],
    [other, 'gpt-5.1-mini', 'auto', 'max_completion_tokens'],
    [other, 'openai/gpt-5', 'auto', 'max_completion_tokens'],
    [other, 'gpt-4o-mini', 'auto', 'max_tokens'],
    [other, 'qwen-plus', 'auto', 'max_tokens'],
    [other, 'qwen-plus', 'max_completion_tokens', 'max_completion_tokens'],
  ];
  for (const [baseUrl, model, limitField, expected] of table) {
    it(`is ${expected} for ${model} at ${baseUrl} when the setting is ${limitField}`, () => {
      const field = limitFieldOf({ baseUrl, limitField })(model);
      assert.equal(field, expected);
      const body = JSON.parse(openAiChat.body({ ...ask('openai', 'x'), maxTokens: 7 }, model, false, field)) as Record<string, unknown>;
      assert.deepEqual([body.max_tokens, body.max_completion_tokens], expected === 'max_tokens' ? [7, undefined] : [undefined, 7]);
    });
  }
});

describe('a base URL', () => {
  const table: [string, string, string][] = [
    ['https://api.openai.com', 'v1', '/v1'],
    ['https://api.openai.com/', 'v1', '/v1'],
    ['https://api.openai.com/v1', 'v1', '/v1'],
    ['https://api.openai.com/v1/', 'v1', '/v1'],
    ['https://generativelanguage.googleapis.com', 'v1beta', '/v1beta'],
    ['https://generativelanguage.googleapis.com/v1beta/', 'v1beta', '/v1beta'],
    ['https://generativelanguage.googleapis.com/v1', 'v1beta', '/v1'],
    ['https://dashscope.aliyuncs.com/compatible-mode', 'v1', '/compatible-mode/v1'],
    ['https://dashscope.aliyuncs.com/compatible-mode/v1', 'v1', '/compatible-mode/v1'],
    ['https://proxy.example/vendor', 'v1', '/vendor/v1'],
  ];
  for (const [url, version, prefix] of table) {
    it(`${url} has its paths below ${prefix}`, () => assert.equal(prefixOf(url, version), prefix));
  }
});

describe('an error body', () => {
  const openAi = (message: string, code: string | null, type: string) => JSON.stringify({ error: { message, type, param: null, code } });
  const google = (code: number, status: string, message: string, details: object[] = []) =>
    JSON.stringify({ error: { code, status, message, details } });
  const table: [string, WireFormat, number, string, string | null][] = [
    ['OpenAI, context', openAiChat, 400, openAi('too long', 'context_length_exceeded', 'invalid_request_error'), 'CONTEXT_TOO_LONG'],
    [
      'Qwen, context',
      openAiChat,
      400,
      openAi('Range of input length should be [1, 30720]', 'invalid_parameter_error', 'x'),
      'CONTEXT_TOO_LONG',
    ],
    ['too large for the server', openAiChat, 413, openAi('no', null, 'x'), 'CONTEXT_TOO_LONG'],
    ['OpenAI, model', openAiChat, 404, openAi('no', 'model_not_found', 'invalid_request_error'), 'UNKNOWN_MODEL'],
    ['OpenAI, wrong path', openAiChat, 404, openAi('Invalid URL (POST /v1/v1/chat/completions)', null, 'invalid_request_error'), null],
    ['OpenAI, no credit', openAiChat, 429, openAi('no', 'insufficient_quota', 'insufficient_quota'), 'PROVIDER_QUOTA_EXHAUSTED'],
    ['Qwen, in arrears', openAiChat, 400, openAi('no', 'Arrearage', 'Arrearage'), 'PROVIDER_QUOTA_EXHAUSTED'],
    ['OpenAI, rate', openAiChat, 429, openAi('Rate limit reached; see billing', 'rate_limit_exceeded', 'requests'), null],
    ['Qwen, inspected', openAiChat, 400, openAi('no', 'data_inspection_failed', 'x'), 'CONTENT_FILTERED'],
    ['OpenAI, any other', openAiChat, 400, openAi('temperature must be below 2', null, 'invalid_request_error'), null],
    ['a fault with the words of a refusal', openAiChat, 500, openAi('no', 'context_length_exceeded', 'x'), null],
    ['Gemini, model', gemini, 404, google(404, 'NOT_FOUND', 'no'), 'UNKNOWN_MODEL'],
    ['Gemini, rate', gemini, 429, google(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota, check billing'), null],
  ];
  for (const [what, wire, status, body, declined] of table) {
    it(`(${what}, ${status}) is ${declined ?? 'no final refusal'}`, () =>
      assert.equal(wire.errorOf(status, body)?.declined ?? null, declined));
  }

  it('of Gemini says in its details when to come back', () => {
    const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '32.5s' }];
    assert.equal(gemini.errorOf(429, google(429, 'RESOURCE_EXHAUSTED', 'slow down', details))?.retryAfterMs, 32_500);
  });
});
