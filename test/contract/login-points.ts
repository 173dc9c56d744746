import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createLoginThrottle, type LoginPoints } from '../../api/auth/login-throttle.js';
import { Problem } from '../../contracts/errors.js';

export const ATTEMPTS = 3;
export const ACCOUNT_ATTEMPTS = 8;

/** What the login throttle does, wherever failed logins are counted: 3 of them in 60 s. To be called in a `describe`. */
export function loginPointsContract(pointsOf: () => LoginPoints): void {
  const freshKey = () => ({ account: `ada-${randomUUID()}`, address: '127.0.0.1' });
  const wrong = () => Promise.resolve(null);
  const right = () => Promise.resolve('ada');
  const throttled = (error: unknown) =>
    error instanceof Problem && error.code === 'LOGIN_THROTTLED' && Number(error.extras.retryAfterSeconds) > 50;

  it('counts for all auth services together, and refuses the right password too', async () => {
    const [here, there] = [createLoginThrottle(pointsOf()), createLoginThrottle(pointsOf())];
    const key = freshKey();
    assert.equal(await here.attempt(key, wrong), null);
    assert.equal(await there.attempt(key, wrong), null);
    assert.equal(await here.attempt(key, wrong), null);
    await assert.rejects(there.attempt(key, right), throttled);
    assert.equal(await there.attempt(freshKey(), right), 'ada', 'others are not concerned');
  });

  it('a success forgets the failures; a fault of ours is none', async () => {
    const throttle = createLoginThrottle(pointsOf());
    const key = freshKey();
    for (let round = 0; round < 3; round += 1) {
      for (let guess = 1; guess < ATTEMPTS; guess += 1) assert.equal(await throttle.attempt(key, wrong), null);
      await assert.rejects(
        throttle.attempt(key, () => Promise.reject(new Error('the database is away'))),
        /away/,
      );
      assert.equal(await throttle.attempt(key, right), 'ada');
    }
  });

  it('guesses from a thousand addresses are braked for the account, while its owner gets in where it is known', async () => {
    const [here, there] = [createLoginThrottle(pointsOf()), createLoginThrottle(pointsOf())];
    const { account } = freshKey();
    const at = (address: string) => ({ account, address });
    assert.equal(await here.attempt(at('198.51.100.1'), right), 'ada');
    await there.remember(account, '198.51.100.2');
    const guesses = await Promise.allSettled(
      Array.from({ length: 40 }, (_, n) => (n % 2 ? here : there).attempt(at(`203.0.113.${n}`), wrong)),
    );
    assert.equal(guesses.filter(({ status }) => status === 'fulfilled').length, ACCOUNT_ATTEMPTS);
    await assert.rejects(here.attempt(at('192.0.2.1'), right), throttled);
    for (const known of ['198.51.100.1', '198.51.100.2']) assert.equal(await there.attempt(at(known), right), 'ada');
    assert.equal(await here.attempt({ ...freshKey(), address: '203.0.113.1' }, right), 'ada', 'other accounts are not concerned');
  });

  it('parallel guesses do not get past the limit; parallel good logins all succeed', async () => {
    const throttle = createLoginThrottle(pointsOf());
    const key = freshKey();
    const guesses = await Promise.allSettled(Array.from({ length: 12 }, () => throttle.attempt(key, wrong)));
    assert.equal(guesses.filter(({ status }) => status === 'fulfilled').length, ATTEMPTS);
    const good = freshKey();
    const logins = await Promise.all(Array.from({ length: 12 }, () => throttle.attempt(good, right)));
    assert.deepEqual([...new Set(logins)], ['ada']);
  });
}
