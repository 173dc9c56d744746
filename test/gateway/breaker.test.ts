import assert from 'node:assert/strict';
import { BreakerOpen, ServiceBreaker, type BreakerState, type Verdict } from '../../api/gateway/breaker.js';
import { until } from './support.js';

const SETTINGS = { failureRate: 0.5, windowMs: 1_000, minimumCalls: 4, openMs: 40, trialCalls: 5 };

describe('service breaker', () => {
  let states: BreakerState[];
  let breaker: ServiceBreaker;
  beforeEach(() => {
    states = [];
    breaker = new ServiceBreaker(SETTINGS, (state) => states.push(state));
  });

  const call = (verdict: Verdict) => breaker.execute(async () => ({ verdict }));
  /** A call that is under way until it is told how it ends. */
  function hold() {
    let end: (verdict: Verdict) => void = () => undefined;
    const result = breaker.execute(() => new Promise<{ verdict: Verdict }>((resolve) => (end = (verdict) => resolve({ verdict }))));
    const outcome = result.then(
      () => 'made',
      (error: unknown) => (error instanceof BreakerOpen ? 'refused' : 'failed'),
    );
    return { end: (verdict: Verdict) => end(verdict), outcome };
  }
  async function open() {
    for (let turn = 0; turn < 4; turn += 1) await call('failure');
    assert.equal(breaker.state, 'open');
  }
  const trialIsDue = () =>
    until(() => {
      try {
        breaker.check();
        return true;
      } catch {
        return false;
      }
    });

  for (const [name, verdicts, expected] of [
    ['fewer calls than the minimum', 'fff', 'closed'],
    ['fewer than half failing', 'sssff', 'closed'],
    ['exactly half failing', 'ssff', 'open'],
    ['all failing', 'ffff', 'open'],
    ['calls that say nothing', 'nnnnnnfff', 'closed'],
  ] as const) {
    it(`is ${expected} after ${name}`, async () => {
      for (const letter of verdicts) await call(letter === 'f' ? 'failure' : letter === 's' ? 'success' : 'neutral');
      assert.equal(breaker.state, expected);
    });
  }

  it('forgets outcomes that have left the window', async () => {
    breaker = new ServiceBreaker({ ...SETTINGS, windowMs: 20 });
    for (let turn = 0; turn < 3; turn += 1) await call('failure');
    const began = Date.now();
    await until(() => Date.now() - began > 30);
    await call('failure');
    assert.equal(breaker.state, 'closed');
  });

  it('admits one trial, then the other four together, and nobody else until they have ended', async () => {
    await open();
    assert.equal(await hold().outcome, 'refused');
    await trialIsDue();
    const first = hold();
    assert.equal(await hold().outcome, 'refused');
    first.end('success');
    assert.equal(await first.outcome, 'made');
    const trials = [hold(), hold(), hold(), hold()];
    assert.equal(await hold().outcome, 'refused');
    for (const trial of trials.slice(1)) trial.end('success');
    await Promise.all(trials.slice(1).map((trial) => trial.outcome));
    assert.equal(breaker.state, 'half-open');
    trials[0]?.end('failure');
    await trials[0]?.outcome;
    assert.equal(breaker.state, 'closed');
    assert.deepEqual(states, ['closed', 'open', 'half-open', 'closed']);
  });

  it('pauses for twice as long after each trial that fails, up to the longest pause, and from the first again once it was closed', async () => {
    breaker = new ServiceBreaker({ ...SETTINGS, firstPauseMs: 10, openMs: 35 });
    const pause = () => {
      try {
        breaker.check();
      } catch (error) {
        if (error instanceof BreakerOpen) return error.retryAfterMs;
      }
      return 0;
    };
    await open();
    const pauses: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      pauses.push(pause());
      await trialIsDue();
      await call('failure');
    }
    for (const [index, longest] of [10, 20, 35, 35].entries()) {
      assert.ok(pauses[index]! <= longest && pauses[index]! > longest / 2, `pauses: ${pauses.join()}`);
    }
    await trialIsDue();
    for (let turn = 0; turn < 5; turn += 1) await call('success');
    assert.equal(breaker.state, 'closed');
    await open();
    assert.ok(pause() <= 10);
  });

  it('is tried at once when the service says that it is well', async () => {
    breaker = new ServiceBreaker({ ...SETTINGS, firstPauseMs: 60_000, openMs: 60_000 });
    await open();
    assert.equal(await hold().outcome, 'refused');
    breaker.tryNow();
    await call('success');
    assert.equal(breaker.state, 'half-open');
  });

  it('opens again when the first trial fails', async () => {
    await open();
    await trialIsDue();
    await call('failure');
    assert.equal(breaker.state, 'open');
    assert.equal(await hold().outcome, 'refused');
  });

  it('opens again when half of the trials have failed', async () => {
    await open();
    await trialIsDue();
    for (const verdict of ['success', 'failure', 'failure'] as const) await call(verdict);
    assert.equal(breaker.state, 'half-open');
    await call('failure');
    assert.equal(breaker.state, 'open');
  });

  it('gives the place of a trial that says nothing to another', async () => {
    await open();
    await trialIsDue();
    await call('neutral');
    for (let turn = 0; turn < 5; turn += 1) {
      assert.equal(breaker.state, 'half-open');
      await call('success');
    }
    assert.equal(breaker.state, 'closed');
  });

  it('learns nothing from calls that began before it opened', async () => {
    const old = [hold(), hold(), hold(), hold()];
    await open();
    await trialIsDue();
    await call('success');
    for (const one of old) one.end('failure');
    await Promise.all(old.map((one) => one.outcome));
    assert.equal(breaker.state, 'half-open');
  });
});
