import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { KeyEnding, KeyRevocations } from '../../api/http/key-revocations.js';
import { eventually } from '../support/eventually.js';

export interface RevocationsUnderTest {
  /** Where keys are ended */
  announcer: KeyRevocations;
  /** Where they are cached: another process, or the same instance where there is only one process */
  listener: KeyRevocations;
  /** Ends keys as the auth service does, but for the last step, which is `publish` of the announcer */
  commit: (endings: readonly KeyEnding[]) => Promise<void>;
}

const WITHIN_MS = 1_000;

/** What every carrier of revocations does. To be called in a `describe`. */
export function keyRevocationsContract(underTest: () => RevocationsUnderTest): void {
  const ending = (validUntil = Date.now()): KeyEnding => ({ secretHash: randomBytes(32).toString('hex'), validUntil });
  const end = async (...endings: KeyEnding[]) => {
    await underTest().commit(endings);
    await underTest().announcer.publish(endings);
  };
  const hear = (revocations: KeyRevocations) => {
    const heard = new Map<string, number>();
    const leave = revocations.subscribe({
      ended: ({ secretHash, validUntil }) => heard.set(secretHash, validUntil),
      interrupted: () => undefined,
    });
    return { heard, leave };
  };

  it('is live, and brings each ending with its time to every listener, there and here, within a second', async () => {
    const { announcer, listener } = underTest();
    assert.ok(announcer.live && listener.live);
    const ears = [hear(listener), hear(listener), hear(announcer)];
    const endings = [ending(), ending(Date.now() + 60_000)];
    await end(...endings);
    for (const { heard, leave } of ears) {
      await eventually('both are heard of', () => endings.every(({ secretHash }) => heard.has(secretHash)), WITHIN_MS);
      for (const { secretHash, validUntil } of endings) assert.equal(heard.get(secretHash), validUntil);
      leave();
    }
  });

  it('tells those who come later what has ended so far', async () => {
    const one = ending();
    const early = hear(underTest().listener);
    await end(one);
    await eventually('it is heard of', () => early.heard.has(one.secretHash), WITHIN_MS);
    const late = hear(underTest().listener);
    assert.equal(late.heard.get(one.secretHash), one.validUntil);
    [early, late].forEach(({ leave }) => leave());
  });

  it('tells nothing to those who have left', async () => {
    const [gone, stays] = [hear(underTest().listener), hear(underTest().listener)];
    gone.leave();
    const one = ending();
    await end(one);
    await eventually('it is heard of', () => stays.heard.has(one.secretHash), WITHIN_MS);
    assert.ok(!gone.heard.has(one.secretHash));
    stays.leave();
  });
}
