import assert from 'node:assert/strict';
import type { ProviderFailureCode } from '../../activities/ports.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { Bench, ask, expectAnswer, expectFailure } from './setup.js';

describe('a provider call', () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.start();
  });
  afterEach(() => bench.reset());
  after(() => bench.stop());

  for (const provider of PROVIDERS) {
    describe(`to ${provider}`, () => {
      it('is answered by one HTTP call with the message, the model and the usage', async () => {
        const request = ask(provider, 'hello there');
        const { answer, attempts } = expectAnswer(await bench.providers().complete(request));
        assert.equal(attempts, 1);
        assert.equal(await bench.attempts(request), 1);
        assert.match(answer.message, /hello there/);
        assert.equal(answer.provider, provider);
        assert.equal(answer.usage?.promptTokens, Math.ceil('hello there'.length / 4));
        assert.equal(answer.usage?.completionTokens, Math.ceil(answer.message.length / 4));
        assert.equal(answer.usage?.totalTokens, (answer.usage?.promptTokens ?? 0) + (answer.usage?.completionTokens ?? 0));
      });

      it('gives the same text to the same prompt, and names the model that was asked for', async () => {
        const providers = bench.providers();
        const [one, two] = await Promise.all([1, 2].map(() => providers.complete(ask(provider, 'again', { model: 'some-model' }))));
        assert(one && two);
        assert.equal(expectAnswer(one).answer.message, expectAnswer(two).answer.message);
        assert.equal(expectAnswer(one).answer.model, 'some-model');
      });

      it('succeeds on its third attempt when the first two fail, under one consumption id', async () => {
        const request = ask(provider, 'patience [stub:fail=2]');
        assert.equal(expectAnswer(await bench.providers().complete(request)).attempts, 3);
        assert.equal(await bench.attempts(request), 3);
        assert.equal((await bench.snapshot(provider)).calls.distinctConsumptions, 1);
      });

      const failures: [string, RegExp, number, ProviderFailureCode][] = [
        ['[stub:fail]', /status 500: The stub was told to fail/, 3, 'PROVIDER_FAILED'],
        ['[stub:status=503]', /status 503/, 3, 'PROVIDER_FAILED'],
        ['[stub:status=429]', /status 429/, 1, 'PROVIDER_RATE_LIMITED'],
        ['[stub:status=429] [stub:retry-after=0]', /status 429/, 3, 'PROVIDER_RATE_LIMITED'],
        ['[stub:status=400]', /status 400/, 1, 'PROVIDER_REJECTED'],
        ['[stub:status=401]', /the provider refused the API key/, 1, 'PROVIDER_FAILED'],
        ['[stub:status=404]', /status 404/, 1, 'UNKNOWN_MODEL'],
        ['[stub:refuse=context]', /status 400: .*tokens/, 1, 'CONTEXT_TOO_LONG'],
        ['[stub:refuse=model]', /status 404: .*model/i, 1, 'UNKNOWN_MODEL'],
        ['[stub:refuse=quota]', /status 429: .*quota/, 1, 'PROVIDER_QUOTA_EXHAUSTED'],
        ['[stub:refuse=prompt]', /filter|blocked/, 1, 'CONTENT_FILTERED'],
        ['[stub:refuse=answer]', /content_filter|SAFETY/, 1, 'CONTENT_FILTERED'],
        ['[stub:refuse=tools]', /calls only/, 1, 'NO_TEXT_ANSWER'],
        ['[stub:nonsense=huge]', /larger than/, 1, 'ANSWER_TOO_LARGE'],
        ['[stub:hang]', /no answer within 60 ms/, 3, 'PROVIDER_TIMEOUT'],
        ['[stub:slow=5000]', /no answer within 60 ms/, 3, 'PROVIDER_TIMEOUT'],
        ['[stub:cut]', /closed|aborted|terminated/, 3, 'PROVIDER_FAILED'],
        ['[stub:nonsense=html]', /content type "text\/html; charset=utf-8" instead of application\/json/, 3, 'PROVIDER_FAILED'],
        ['[stub:nonsense=json]', /not JSON/, 3, 'PROVIDER_FAILED'],
        ['[stub:nonsense=empty]', /empty body/, 3, 'PROVIDER_FAILED'],
        ['[stub:nonsense=missing]', /choices|no candidate/, 3, 'PROVIDER_FAILED'],
      ];
      for (const [marker, detail, attempts, code] of failures) {
        it(`that meets ${marker} ends as ${code} after ${attempts} attempt(s) and says why`, async () => {
          const request = ask(provider, marker);
          const slow = code === 'PROVIDER_TIMEOUT';
          const outcome = expectFailure(await bench.providers({ LEAKY_PROVIDER_TIMEOUT_MS: slow ? '60' : '2000' }).complete(request));
          assert.equal(outcome.code, code);
          assert.match(outcome.detail, detail);
          assert.equal(outcome.attempts, attempts);
          assert.equal(await bench.attempts(request), attempts);
        });
      }

      for (const marker of ['[stub:nonsense=no-usage]', '[stub:nonsense=negative-usage]']) {
        it(`keeps the answer but reports no usage when it meets ${marker}`, async () => {
          assert.equal(expectAnswer(await bench.providers().complete(ask(provider, marker))).answer.usage, null);
        });
      }

      it('passes an absurdly large usage on: only the ledger knows what the hold was', async () => {
        const { answer } = expectAnswer(await bench.providers().complete(ask(provider, '[stub:nonsense=huge-usage]')));
        assert((answer.usage?.totalTokens ?? 0) >= 1_000_000_000);
      });

      it('to a port where nobody listens fails after all attempts', async () => {
        const env = { [`LEAKY_${provider.toUpperCase()}_BASE_URL`]: 'http://127.0.0.1:1' };
        const outcome = expectFailure(await bench.providers(env).complete(ask(provider, 'anyone?')));
        assert.equal(outcome.code, 'PROVIDER_FAILED');
        assert.equal(outcome.attempts, 3);
        assert.match(outcome.detail, /ECONNREFUSED/);
      });
    });
  }

  it('times out as PROVIDER_TIMEOUT only when its last attempt did', async () => {
    const providers = bench.providers({ LEAKY_PROVIDER_TIMEOUT_MS: '60' });
    await bench.control('openai', { mode: 'hang' });
    assert.equal(expectFailure(await providers.complete(ask('openai', '[stub:fail=2]'))).code, 'PROVIDER_TIMEOUT');
    await bench.control('openai', { mode: 'fail' });
    assert.equal(expectFailure(await providers.complete(ask('openai', '[stub:hang=2]'))).code, 'PROVIDER_FAILED');
  });

  it('never shows the API key, even when the provider echoes it', async () => {
    const key = 'sk-very-secret-key';
    const outcome = expectFailure(
      await bench
        .providers({ LEAKY_OPENAI_API_KEY: key, LEAKY_OPENAI_BASE_URL: `${bench.url('openai')}/${key}` })
        .complete(ask('openai', 'x')),
    );
    assert.doesNotMatch(outcome.detail, /sk-very/);
  });

  it('of a consumption id that no header can carry ends as a value', async () => {
    const outcome = expectFailure(await bench.providers().complete(ask('openai', 'x', { consumptionId: 'line\nbreak' })));
    assert.equal(outcome.code, 'PROVIDER_FAILED');
  });

  it('to one provider is not disturbed by another that hangs', async () => {
    await bench.control('gemini', { mode: 'hang' });
    const providers = bench.providers();
    const leave = new AbortController();
    const hanging = providers.complete(ask('gemini', 'x'), { signal: leave.signal });
    expectAnswer(await providers.complete(ask('qwen', 'x')));
    leave.abort();
    expectFailure(await hanging);
  });
});
