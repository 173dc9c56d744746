import assert from 'node:assert/strict';
import type { BreakerOptions } from '../../adapters/providers/breaker.js';
import { CANCELLED, failed, parseRetryAfter, type Attempt } from '../../adapters/providers/client.js';
import { Guard, type GuardOptions } from '../../adapters/providers/guard.js';
import { createLogger } from '../../telemetry/log.js';
import { Bench, ME, ask, expectAnswer, expectFailure, until } from './setup.js';

const log = createLogger('silent');
const OK: Attempt = { ok: true, content: { id: null, model: null, message: 'yes', usage: null } };
const guardOf = ({ breaker, ...options }: Partial<Omit<GuardOptions, 'breaker'>> & { breaker?: Partial<BreakerOptions> } = {}) =>
  new Guard(
    {
      attempts: 1,
      backoffMs: 1,
      maxRetryAfterMs: 1_000,
      bulkhead: 10,
      callerShare: 1,
      ...options,
      breaker: { windowMs: 10_000, minimumCalls: 4, minimumCallers: 3, openMs: 30_000, ...breaker },
    },
    log,
  );
const give = (attempt: Attempt) => () => Promise.resolve(attempt);

describe('the guard of a provider', () => {
  const sequences: [string, string, boolean][] = [
    ['half of the attempts, at the minimum volume, failed', 'OFOF', true],
    ['fewer than half failed', 'OOFOFO', false],
    ['all failed, below the minimum volume', 'FFF', false],
    ['the caller was at fault each time, however often', 'RRRRRRRR', false],
    ["callers' faults and cancellations do not dilute failures", 'RRRRRCCCCCFOFF', true],
    ['time-outs count as failures', 'TTTT', true],
  ];
  const kinds: Record<string, Attempt> = {
    O: OK,
    F: failed('failed', 'no'),
    T: failed('timeout', 'late'),
    R: failed('rejected', 'bad request', { retry: false, counts: false }),
    C: CANCELLED,
  };
  for (const [law, sequence, opens] of sequences) {
    it(`${opens ? 'opens' : 'stays closed'} when ${law}`, async () => {
      const guard = guardOf();
      for (const letter of sequence) await guard.run(ME, give(kinds[letter] as Attempt));
      assert.equal(guard.refusal(ME) !== null, opens);
      if (opens) assert.equal(guard.refusal(ME)?.retryAfterSeconds, 30);
    });
  }

  const opened = (guard: Guard, caller: string) => guard.refusal(caller) !== null;
  const failing = failed('timeout', 'late');

  it("opens for one caller alone on that caller's failures, however many, while others are answered", async () => {
    const guard = guardOf();
    for (let i = 0; i < 10; i += 1) await guard.run('other', give(OK));
    for (let i = 0; i < 30 && !opened(guard, 'slow'); i += 1) await guard.run('slow', give(failing));
    assert.deepEqual(
      ['slow', 'other', 'newcomer'].map((caller) => opened(guard, caller)),
      [true, false, false],
    );
  });

  it('is not opened for everybody by two callers, nor by three among many whose calls are answered', async () => {
    const guard = guardOf({ breaker: { minimumCalls: 4 } });
    for (const caller of ['a', 'b']) for (let i = 0; i < 3; i += 1) await guard.run(caller, give(failing));
    assert.equal(opened(guard, 'other'), false);
    for (let i = 0; i < 8; i += 1) await guard.run(`well ${i}`, give(OK));
    await guard.run('c', give(failing));
    assert.equal(opened(guard, 'other'), false);
  });

  it('opens for everybody when half of the callers, three at least, see half of their attempts fail', async () => {
    const guard = guardOf({ breaker: { minimumCalls: 4 } });
    for (const caller of ['a', 'a', 'b', 'c']) await guard.run(caller, give(failing));
    assert.equal(opened(guard, 'newcomer'), true);
  });

  it('takes trial calls of three callers, so that one whose calls always fail does not keep it open', async () => {
    const guard = guardOf({ breaker: { minimumCalls: 3, openMs: 30 } });
    for (const caller of ['a', 'b', 'c']) await guard.run(caller, give(failing));
    await until(() => !opened(guard, 'a'), 'half-open');
    await guard.run('a', give(failing));
    assert.deepEqual([opened(guard, 'a'), opened(guard, 'b')], [true, false]);
    await guard.run('b', give(OK));
    assert.equal(opened(guard, 'c'), false);
  });

  it('closes when a trial call is declined for what it asks: whoever declines is well', async () => {
    const guard = guardOf({ breaker: { minimumCalls: 2, openMs: 30 } });
    for (let i = 0; i < 2; i += 1) await guard.run(ME, give(failing));
    await until(() => !opened(guard, ME), 'half-open');
    await guard.run(ME, give(failed('rejected', 'filtered', { code: 'CONTENT_FILTERED', retry: false, counts: false })));
    for (let i = 0; i < 2; i += 1) assert.equal(opened(guard, ME), false);
  });

  it('forgets what is older than its window', async () => {
    const guard = guardOf({ breaker: { windowMs: 40, minimumCalls: 3 } });
    for (let i = 0; i < 2; i += 1) await guard.run(ME, give(failing));
    const at = Date.now();
    await until(() => Date.now() - at > 60, 'the window is over');
    await guard.run(ME, give(failing));
    assert.equal(opened(guard, ME), false);
  });

  it('gives no caller more than its share of the bulkhead', async () => {
    const guard = guardOf({ bulkhead: 8, callerShare: 0.25 });
    const ends: ((attempt: Attempt) => void)[] = [];
    const hang = () => new Promise<Attempt>((resolve) => ends.push(resolve));
    const calls = [guard.run('greedy', hang), guard.run('greedy', hang)];
    assert.match(guard.refusal('greedy')?.detail ?? '', /share/);
    assert.equal(opened(guard, 'other'), false);
    ends.forEach((end) => end(OK));
    await Promise.all(calls);
    assert.equal(opened(guard, 'greedy'), false);
  });

  it('lets exactly one trial call through after its open time; its success closes it', async () => {
    const guard = guardOf({ breaker: { windowMs: 10_000, minimumCalls: 2, openMs: 30 } });
    await guard.run(ME, give(failed('failed', 'no')));
    await guard.run(ME, give(failed('failed', 'no')));
    assert.notEqual(guard.refusal(ME), null);
    await until(() => guard.refusal(ME) === null, 'half-open');
    let answer: (attempt: Attempt) => void = () => undefined;
    const trial = guard.run(ME, () => new Promise((resolve) => (answer = resolve)));
    assert.match(guard.refusal(ME)?.detail ?? '', /trial/);
    answer(OK);
    assert.equal(await trial, OK);
    assert.equal(guard.refusal(ME), null);
  });

  it('opens again when the trial call fails', async () => {
    const guard = guardOf({ breaker: { windowMs: 10_000, minimumCalls: 2, openMs: 30 } });
    for (let i = 0; i < 2; i += 1) await guard.run(ME, give(failed('failed', 'no')));
    await until(() => guard.refusal(ME) === null, 'half-open');
    await guard.run(ME, give(failed('failed', 'still no')));
    assert.match(guard.refusal(ME)?.detail ?? '', /open/);
  });

  it('stops retrying, with the last failure, once the breaker has opened', async () => {
    const guard = guardOf({ attempts: 10, breaker: { windowMs: 10_000, minimumCalls: 3, openMs: 30_000 } });
    let calls = 0;
    const result = await guard.run(ME, () => Promise.resolve(failed('failed', `no ${(calls += 1)}`)));
    assert.equal(calls, 3);
    assert(!result.ok && result.kind === 'failed' && result.detail === 'no 3');
  });

  it('doubles the wait before each attempt', async () => {
    const guard = guardOf({ attempts: 4, backoffMs: 20, breaker: { windowMs: 10_000, minimumCalls: 100, openMs: 1 } });
    const at: number[] = [];
    await guard.run(ME, () => {
      at.push(performance.now());
      return Promise.resolve(failed('failed', 'no'));
    });
    const waits = at.slice(1).map((time, index) => time - (at[index] as number));
    assert.equal(waits.length, 3);
    // A timer may fire a millisecond early against this clock, and any time late: only lower bounds are laws.
    for (const [index, least] of [20, 40, 80].entries()) assert((waits[index] as number) >= least - 2, `waits: ${waits.join(', ')}`);
  });

  it('waits as long as the provider asks, and gives up at once when it asks for too long', async () => {
    const guard = guardOf({ attempts: 2 });
    const at: number[] = [];
    const failing = (retryAfterMs: number) => () => {
      at.push(performance.now());
      return Promise.resolve(failed('failed', 'busy', { retryAfterMs }));
    };
    await guard.run(ME, failing(60));
    assert((at[1] as number) - (at[0] as number) >= 58);
    await guard.run(ME, failing(60_000));
    assert.equal(at.length, 3);
  });

  it('is full when its bulkhead is, and free again when a call has ended', async () => {
    const guard = guardOf({ bulkhead: 1 });
    let answer: (attempt: Attempt) => void = () => undefined;
    const call = guard.run(ME, () => new Promise((resolve) => (answer = resolve)));
    assert.equal(guard.refusal(ME)?.retryAfterSeconds, 1);
    answer(OK);
    await call;
    assert.equal(guard.refusal(ME), null);
  });

  it('ends at once, and frees its place, when the caller leaves between two attempts', async () => {
    const guard = guardOf({ attempts: 2, backoffMs: 3_600_000, bulkhead: 1 });
    const leave = new AbortController();
    let calls = 0;
    const call = guard.run(
      ME,
      () => {
        calls += 1;
        setImmediate(() => leave.abort());
        return Promise.resolve(failed('failed', 'no'));
      },
      leave.signal,
    );
    const result = await call;
    assert(!result.ok && result.kind === 'cancelled');
    assert.equal(calls, 1);
    assert.equal(guard.refusal(ME), null);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const table: [string | undefined, number | null][] = [
    [undefined, null],
    ['3', 3_000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', null],
  ];
  for (const [value, expected] of table) {
    it(`"${value}" is ${expected} ms`, () => assert.equal(parseRetryAfter(value, now), expected));
  }
});

describe('a guarded provider', () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.start();
  });
  afterEach(() => bench.reset());
  after(() => bench.stop());

  it('that fails is refused without a call once its breaker is open, and taken again after a trial', async () => {
    const providers = bench.providers({
      LEAKY_PROVIDER_ATTEMPTS: '1',
      LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS: '4',
      LEAKY_PROVIDER_BREAKER_OPEN_MS: '150',
    });
    await bench.control('qwen', { mode: 'fail' });
    for (let i = 0; i < 4; i += 1) expectFailure(await providers.complete(ask('qwen', 'x')));
    const refused = expectFailure(await providers.complete(ask('qwen', 'x')));
    assert.equal(refused.code, 'PROVIDER_UNAVAILABLE');
    assert.equal(refused.attempts, 0);
    assert((refused.retryAfterSeconds ?? 0) >= 1);
    assert.equal((await bench.snapshot('qwen')).calls.total, 4);
    assert.equal(providers.refusalFor('openai', ME), null);
    await bench.control('qwen', { mode: 'ok' });
    await until(() => providers.refusalFor('qwen', ME) === null, 'the breaker takes a trial call');
    expectAnswer(await providers.complete(ask('qwen', 'x')));
    assert.equal(providers.refusalFor('qwen', ME), null);
  });

  it('never has more calls in flight than its bulkhead; the others are refused at once', async () => {
    const providers = bench.providers({ LEAKY_PROVIDER_BULKHEAD: '5', LEAKY_CALLER_SHARE: '1' });
    const leave = new AbortController();
    const calls = Array.from({ length: 8 }, () => providers.complete(ask('openai', '[stub:hang]'), { signal: leave.signal }));
    const refused = await Promise.all(calls.slice(5));
    for (const outcome of refused) {
      const { code, retryAfterSeconds, attempts } = expectFailure(outcome);
      assert.deepEqual({ code, retryAfterSeconds, attempts }, { code: 'PROVIDER_UNAVAILABLE', retryAfterSeconds: 1, attempts: 0 });
    }
    await until(async () => (await bench.snapshot('openai')).calls.inFlight === 5, 'five calls at the stub');
    leave.abort();
    await Promise.all(calls.slice(0, 5));
    assert.equal(providers.refusalFor('openai', ME), null);
    assert.equal((await bench.snapshot('openai')).calls.total, 5);
  });

  it('sees the connection close when the caller leaves during an attempt, and no second one', async () => {
    const providers = bench.providers();
    const request = ask('gemini', '[stub:hang]');
    const leave = new AbortController();
    const call = providers.complete(request, { signal: leave.signal });
    await until(async () => (await bench.snapshot('gemini')).calls.inFlight === 1, 'the call is at the stub');
    leave.abort();
    const outcome = expectFailure(await call);
    assert.match(outcome.detail, /cancelled/);
    await until(async () => (await bench.snapshot('gemini')).calls.inFlight === 0, 'the stub saw the close');
    assert.equal(await bench.attempts(request), 1);
  });

  it('puts one listener on a signal that a whole batch shares, and ends every call of it', async () => {
    const providers = bench.providers();
    const leave = new AbortController();
    let listeners = 0;
    const add = leave.signal.addEventListener.bind(leave.signal) as (...args: unknown[]) => void;
    Object.defineProperty(leave.signal, 'addEventListener', {
      value: (...args: unknown[]) => {
        listeners += 1;
        add(...args);
      },
    });
    const calls = Array.from({ length: 30 }, () => providers.complete(ask('openai', '[stub:hang]'), { signal: leave.signal }));
    await until(async () => (await bench.snapshot('openai')).calls.inFlight === 30, 'thirty calls at the stub');
    leave.abort();
    for (const outcome of await Promise.all(calls)) assert.match(expectFailure(outcome).detail, /cancelled/);
    assert.equal(listeners, 1);
  });

  it('is not called at all for a caller who has left already', async () => {
    const request = ask('openai', 'x');
    expectFailure(await bench.providers().complete(request, { signal: AbortSignal.abort() }));
    assert.equal(await bench.attempts(request), 0);
  });

  it('is called once for what it declines, and its breaker stays closed however often one caller is declined', async () => {
    const providers = bench.providers({ LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS: '4' });
    for (const refusal of ['context', 'model', 'quota', 'prompt', 'answer', 'tools']) {
      for (let i = 0; i < 10; i += 1) {
        const request = ask('openai', `[stub:refuse=${refusal}] ${i}`);
        assert.equal(expectFailure(await providers.complete(request)).attempts, 1);
        assert.equal(await bench.attempts(request), 1);
      }
      assert.equal(providers.refusalFor('openai', ME), null, refusal);
    }
  });

  it('that times out thirty times for one caller is there for all others', async () => {
    const providers = bench.providers({ LEAKY_PROVIDER_TIMEOUT_MS: '30', LEAKY_PROVIDER_ATTEMPTS: '1' });
    await Promise.all(Array.from({ length: 30 }, () => providers.complete(ask('openai', '[stub:hang]', { caller: 'slow' }))));
    assert.notEqual(providers.refusalFor('openai', 'slow'), null);
    expectAnswer(await providers.complete(ask('openai', 'x')));
  });

  it('is asked with the member that the model takes: newer models of OpenAI refuse max_tokens', async () => {
    const providers = bench.providers({ LEAKY_OPENAI_BASE_URL: `${bench.url('openai')}/v1/` });
    for (const model of ['gpt-4o-mini', 'o3-mini', 'gpt-5']) {
      const request = ask('openai', 'a long answer please '.repeat(20), { model, maxTokens: 3 });
      assert.equal(expectAnswer(await providers.complete(request)).answer.usage?.completionTokens, 3);
    }
    const old = bench.providers({ LEAKY_OPENAI_LIMIT_FIELD: 'max_tokens' });
    assert.equal(expectFailure(await old.complete(ask('openai', 'x', { model: 'gpt-5' }))).code, 'PROVIDER_REJECTED');
  });

  it('honours a Retry-After within bounds and passes a longer one on', async () => {
    const providers = bench.providers();
    const soon = ask('openai', '[stub:status=429] [stub:retry-after=1] [stub:times=1]');
    const startedAt = performance.now();
    assert.equal(expectAnswer(await providers.complete(soon)).attempts, 2);
    assert(performance.now() - startedAt >= 990);
    const later = expectFailure(await providers.complete(ask('openai', '[stub:status=429] [stub:retry-after=60]')));
    assert.equal(later.attempts, 1);
    assert.equal(later.retryAfterSeconds, 60);
  });
});
