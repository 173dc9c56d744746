import assert from 'node:assert/strict';
import fc from 'fast-check';
import { gemini } from '../../adapters/providers/gemini.js';
import { openAiChat } from '../../adapters/providers/openai-chat.js';
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
          wire.errorText(body);
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
    for (const reply of [gemini.parse(body), reader.end()]) assert(!reply.ok && reply.final && reply.detail.includes('SAFETY'));
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
