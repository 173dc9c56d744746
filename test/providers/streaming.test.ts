import assert from 'node:assert/strict';
import { PROVIDERS } from '../../contracts/providers.js';
import { Bench, ask, expectAnswer, expectFailure } from './setup.js';

describe('a streamed provider call', () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.start();
  });
  afterEach(() => bench.reset());
  after(() => bench.stop());

  for (const provider of PROVIDERS) {
    describe(`to ${provider}`, () => {
      it('hands out deltas before the end, which together are the message of the whole answer', async () => {
        const providers = bench.providers();
        const deltas: string[] = [];
        let ended = false;
        let duringCall = 0;
        const outcome = await providers
          .complete(ask(provider, 'grüße 🙂 [stub:chunk-delay=3]'), {
            onDelta: (text) => {
              deltas.push(text);
              if (!ended) duringCall += 1;
            },
          })
          .finally(() => (ended = true));
        const { answer } = expectAnswer(outcome);
        assert(deltas.length > 5);
        assert.equal(duringCall, deltas.length);
        assert.equal(deltas.join(''), answer.message);
        const whole = expectAnswer(await providers.complete(ask(provider, 'grüße 🙂')));
        assert.equal(answer.message, whole.answer.message);
        assert.equal(answer.usage?.completionTokens, whole.answer.usage?.completionTokens);
      });

      it('that is cut is a failure, and is not tried again once text was handed out', async () => {
        const request = ask(provider, '[stub:cut]');
        let deltas = 0;
        const outcome = expectFailure(await bench.providers().complete(request, { onDelta: () => (deltas += 1) }));
        assert.equal(outcome.code, 'PROVIDER_FAILED');
        assert(deltas > 0);
        assert.equal(await bench.attempts(request), 1);
      });

      it('is tried again while no text was handed out', async () => {
        const request = ask(provider, '[stub:fail=2]');
        const deltas: string[] = [];
        const { answer, attempts } = expectAnswer(await bench.providers().complete(request, { onDelta: (text) => deltas.push(text) }));
        assert.equal(attempts, 3);
        assert.equal(deltas.join(''), answer.message);
      });

      for (const [nonsense, detail] of [
        ['html', /instead of text\/event-stream/],
        ['json', /no chat completion chunk|no generateContent/],
        ['empty', /cut before/],
        ['missing', /chunk|cut before/],
      ] as const) {
        it(`that answers nonsense (${nonsense}) is a failure`, async () => {
          const request = ask(provider, `[stub:nonsense=${nonsense}]`);
          const outcome = expectFailure(await bench.providers().complete(request, { onDelta: () => undefined }));
          assert.match(outcome.detail, detail);
          assert.equal(outcome.attempts, 3);
        });
      }

      it('may take longer than the time limit as long as it is never silent for so long', async () => {
        const providers = bench.providers({ LEAKY_PROVIDER_TIMEOUT_MS: '200' });
        const startedAt = performance.now();
        expectAnswer(await providers.complete(ask(provider, '[stub:chunk-delay=40]'), { onDelta: () => undefined }));
        assert(performance.now() - startedAt > 200);
        const silent = expectFailure(await providers.complete(ask(provider, '[stub:chunk-delay=5000]'), { onDelta: () => undefined }));
        assert.equal(silent.code, 'PROVIDER_TIMEOUT');
      });
    });
  }

  it('ends as a value when the receiver of the text throws', async () => {
    const outcome = expectFailure(
      await bench.providers().complete(ask('openai', 'x'), {
        onDelta: () => {
          throw new Error('gone');
        },
      }),
    );
    assert.match(outcome.detail, /could not be passed on: gone/);
    assert.equal(outcome.attempts, 1);
  });

  it('stops at once when the caller leaves in the middle', async () => {
    const leave = new AbortController();
    const request = ask('openai', '[stub:chunk-delay=20]');
    const outcome = expectFailure(await bench.providers().complete(request, { signal: leave.signal, onDelta: () => leave.abort() }));
    assert.match(outcome.detail, /cancelled/);
    assert.equal(await bench.attempts(request), 1);
  });
});
