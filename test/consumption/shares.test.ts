import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { crowdedPaceMs } from '../../api/tokens/batch-starter.js';
import { Door } from '../../api/tokens/door.js';
import { KeyWaiters } from '../../api/tokens/key-waiters.js';
import { newBuyer } from '../support/buyers.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type ConsumeAnswer, type TokenServiceRig } from '../support/token-service.js';

const SLOW_MS = 4_000;
/** What anybody else may wait at most while one caller does its worst; undisturbed it is a tenth */
const UNDISTURBED_MS = 1_500;

describe('the share of each caller', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig;
  before(async () => {
    rig = await startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      environment: {
        LEAKY_CONSUMPTIONS_WORKING: '32',
        LEAKY_CONSUMPTIONS_IN_FLIGHT: '80',
        LEAKY_PROVIDER_BULKHEAD: '80',
        LEAKY_BUCKET_CAPACITY: '100000',
        LEAKY_PROVIDER_TIMEOUT_MS: '10000',
      },
    });
  });
  after(() => rig.stop());

  const timed = async <T>(work: () => Promise<T>): Promise<{ value: T; tookMs: number }> => {
    const at = performance.now();
    const value = await work();
    return { value, tookMs: performance.now() - at };
  };
  const count = (answers: ConsumeAnswer[], status: number) => answers.filter((answer) => answer.status === status).length;

  /** Another user's call and read, again and again until the slow ones have ended */
  async function othersMeanwhile(slow: Promise<unknown>): Promise<number> {
    const other = await newBuyer(database().pool, 10_000);
    let going = true;
    void slow.finally(() => (going = false));
    let turns = 0;
    for (; going; turns++) {
      const call = await timed(() => rig.consume(other.order({ tokens: 1, prompt: 'quick' })));
      assert.equal(call.value.status, 200, JSON.stringify(call.value.body));
      assert.ok(call.tookMs < UNDISTURBED_MS, `a call took ${call.tookMs} ms`);
      const read = await timed(() => rig.get(`/api/v1/tokens/quota?userId=${other.userId}&provider=openai`, other.userId));
      assert.equal(read.value.status, 200);
      assert.ok(read.tookMs < UNDISTURBED_MS, `a read took ${read.tookMs} ms`);
    }
    await eventually('its usage is recorded', async () => (await other.events()) === turns);
    return turns;
  }

  it('lets a few repeats under one Idempotency-Key wait; the others get 409 with Retry-After at once, and nobody else is disturbed', async () => {
    const buyer = await newBuyer(database().pool, 10_000);
    const body = buyer.order({ tokens: 5, prompt: `[stub:slow=${SLOW_MS}] same` });
    const key = { 'idempotency-key': 'the-same' };
    const first = rig.consume(body, key);
    await eventually('the first one is in progress', async () => (await buyer.held()) === 1);
    const repeats = Promise.all(Array.from({ length: 110 }, () => timed(() => rig.consume(body, key))));
    const turns = await othersMeanwhile(repeats);
    const answers = await repeats;
    const refused = answers.filter(({ value }) => value.status === 409);
    assert.deepEqual(
      [
        answers.length - refused.length,
        count(
          answers.map(({ value }) => value),
          200,
        ),
      ],
      [4, 4],
    );
    for (const { value, tookMs } of refused) {
      assert.deepEqual([value.body['code'], value.headers.get('retry-after')], ['IDEMPOTENCY_IN_FLIGHT', '1']);
      assert.ok(tookMs < SLOW_MS / 2, `a 409 took ${tookMs} ms`);
    }
    assert.equal((await first).status, 200);
    assert.equal((await buyer.rows()).length, 1);
    assert.ok(turns > 3, `others got ${turns} turns`);
  });

  it('has a quarter of the places of slow calls; the others get 503 with Retry-After, and nobody else is disturbed', async () => {
    const buyer = await newBuyer(database().pool, 10_000);
    const inFlight = 20;
    const calls: Promise<ConsumeAnswer>[] = [];
    for (let few = 0; few < 11; few++) {
      calls.push(
        ...Array.from({ length: 10 }, (_, n) => rig.consume(buyer.order({ tokens: 1, prompt: `[stub:slow=${SLOW_MS}] ${few} ${n}` }))),
      );
      // As they come from anywhere: a few at a time, so that the door itself lets them in.
      await eventually('they are in progress, or refused', () => rig.intake.size <= inFlight);
    }
    const slow = Promise.all(calls);
    await othersMeanwhile(slow);
    const answers = await slow;
    assert.equal(count(answers, 200), inFlight);
    for (const { status, headers, body } of answers) {
      if (status === 200) continue;
      assert.deepEqual([status, body['code'], headers.get('retry-after')], [503, 'OVERLOADED', '1']);
    }
  });
});

describe('the door of the token service, once it knows who asks', () => {
  const doorOf = (limit: number, callerShare: number) => {
    const away = new Map<string, number>();
    const all = () => [...away.values()].reduce((sum, count) => sum + count, 0);
    const door = new Door({ limit, callerShare, away: { all, of: (caller) => away.get(caller) ?? 0 } });
    const enter = (caller: string) => {
      let close: () => void = () => undefined;
      const res = { once: (_name: string, listener: () => void) => (close = listener) } as unknown as ServerResponse;
      door.admit({ method: 'POST', url: '/api/v1/tokens/consume' } as never, res);
      const leave = door.claim(caller, res);
      if (!leave) close();
      return leave && { decided: leave, closed: () => close() };
    };
    return { enter, away };
  };
  const times = (n: number, work: () => unknown) => Array.from({ length: n }, work).filter(Boolean).length;

  it('keeps a share free for others however many come from one caller', () => {
    const { enter } = doorOf(16, 4);
    assert.equal(
      times(40, () => enter('greedy')),
      12,
    );
    assert.equal(
      times(4, () => enter('other')),
      4,
    );
  });

  it('counts who has left for as long as its consumption goes on, and once only', () => {
    const { enter } = doorOf(8, 2);
    const inside = Array.from({ length: 6 }, () => enter('a'));
    for (const stay of inside) stay?.closed();
    assert.equal(enter('a'), null);
    for (const stay of inside) stay?.decided();
    assert.equal(
      times(8, () => enter('a')),
      6,
    );
  });

  it('does not count those who wait for a provider', () => {
    const { enter, away } = doorOf(8, 2);
    assert.equal(
      times(8, () => enter('a')),
      6,
    );
    away.set('a', 5);
    assert.equal(
      times(8, () => enter('a')),
      5,
    );
  });
});

describe('requests that wait for the outcome of another', () => {
  it('are bounded for each key and for each caller', async () => {
    const waiters = new KeyWaiters({ places: 10, perCaller: 5 }, 2);
    let end: (value: string) => void = () => undefined;
    const outcome = new Promise<string>((resolve) => (end = resolve));
    const wait = (key: string, caller: string) => waiters.wait(key, caller, () => outcome);
    const waiting = ['k1', 'k1', 'k1', 'k2', 'k2', 'k3', 'k4'].map((key) => wait(key, 'one'));
    const another = wait('k1 of another', 'two');
    assert.deepEqual([waiters.size, waiters.sizeOf('one')], [6, 5]);
    end('done');
    assert.deepEqual(await Promise.all([...waiting, another]), ['done', 'done', null, 'done', 'done', 'done', null, 'done']);
    assert.equal(waiters.size, 0);
  });
});

describe('the pace of batches', () => {
  it('slows down when half of the slots are taken, by ever more as they become fewer', () => {
    assert.deepEqual([0, 0.49, 0.5, 0.63, 0.9, 1].map(crowdedPaceMs), [0, 0, 250, 500, 2_000, 4_000]);
  });
});
