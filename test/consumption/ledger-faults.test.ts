import assert from 'node:assert/strict';
import type { ConsumptionLedger } from '../../activities/consumption-ports.js';
import type { UsageSink } from '../../activities/ports.js';
import { createPool, type Database } from '../../adapters/postgres/pool.js';
import { newBuyer, patience } from '../support/buyers.js';
import { layCable, type Cable } from '../support/cable.js';
import { eventually } from '../support/eventually.js';
import { connectionLost, faulty, type Faults } from '../support/faulty.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type TokenServiceRig } from '../support/token-service.js';

/** No answer may take longer than the gateway waits for one: five seconds and the provider's share. */
const GATEWAY_PATIENCE_MS = 6_500;

describe('consumption while the ledger or the usage store is down', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  const ledger: Faults<ConsumptionLedger> = {};
  const usage: Faults<UsageSink> = {};
  let rig: TokenServiceRig;
  before(async () => {
    rig = await startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      ledger: (real) => faulty(real, ledger),
      usage: (real) => faulty(real, usage),
    });
  });
  after(() => rig.stop());
  afterEach(() => {
    for (const faults of [ledger, usage]) for (const name of Object.keys(faults)) Reflect.deleteProperty(faults, name);
  });
  afterEach(() => assertSound(database().pool));

  const buyer = () => newBuyer(database().pool);
  const timed = async <T>(answer: Promise<T>) => {
    const from = performance.now();
    return { answer: await answer, ms: performance.now() - from };
  };

  describe('at the reserve step', () => {
    it('rejects: 503 in time, nothing held or charged, the bucket given back; the key works once it is back', async () => {
      const { order, rows } = await buyer();
      ledger.reserve = connectionLost;
      const key = { 'idempotency-key': 'k' };
      const { answer, ms } = await timed(Promise.all([rig.consume(order(), key), rig.consume(order())]));
      for (const { status, body, headers } of answer) {
        assert.deepEqual([status, body['code'], body['allowed']], [503, 'SERVICE_UNAVAILABLE', false]);
        assert.ok(headers.get('retry-after'));
      }
      assert.ok(ms < GATEWAY_PATIENCE_MS, `${ms} ms`);
      assert.deepEqual(await rows(), []);
      delete ledger.reserve;
      const after = await rig.consume(order(), key);
      assert.deepEqual([after.status, after.body['used']], [200, 10], JSON.stringify(after.body));
    });

    it('commits but its answer is lost: found again, charged once', async () => {
      const { order, balance } = await buyer();
      let lost = 0;
      ledger.reserve = async (real, ...args) => {
        const outcomes = await real(...args);
        return lost++ < 2 ? connectionLost() : outcomes;
      };
      const { status, body } = await rig.consume(order());
      assert.deepEqual([status, lost], [200, 3]);
      assert.equal(await rig.callsOf(String(body['consumptionId'])), 1);
      assert.equal((await balance())['consumed_total'], 10);
    });

    it('commits but its answer is lost every time: 503 and all is released; a retry under the key goes through', async () => {
      const { order, balance, rows } = await buyer();
      ledger.reserve = (real, ...args) => real(...args).then(connectionLost);
      const key = { 'idempotency-key': 'k' };
      const refused = await rig.consume(order(), key);
      assert.deepEqual([refused.status, refused.body['code']], [503, 'SERVICE_UNAVAILABLE']);
      await eventually('it is released', async () => (await rows()).every((row) => row.state === 'RELEASED'));
      assert.deepEqual([(await rows()).length, (await balance())['purchased']], [1, 1_000]);
      delete ledger.reserve;
      const retried = await rig.consume(order(), key);
      assert.equal(retried.status, 200, JSON.stringify(retried.body));
      assert.equal((await balance())['consumed_total'], 10);
      const again = await rig.consume(order(), key);
      assert.deepEqual(again.body, retried.body);
    });

    it('is away already when a key is looked up: 503, not 500', async () => {
      const { order } = await buyer();
      ledger.find = connectionLost;
      const { status, body, headers } = await rig.consume(order(), { 'idempotency-key': 'k' });
      assert.deepEqual([status, body['code']], [503, 'SERVICE_UNAVAILABLE']);
      assert.ok(headers.get('retry-after'));
    });
  });

  describe('at the settle step', () => {
    it('away for a while: answers are late but right, and each call was made once', async () => {
      const { order, balance } = await buyer();
      ledger.settle = connectionLost;
      const answers = Promise.all(
        Array.from({ length: 10 }, (_, i) => rig.consume(order({ prompt: i === 9 ? '[stub:fail] no' : `number ${i}` }))),
      );
      let tries = 0;
      ledger.settle = (real, ...args) => (++tries <= 4 ? connectionLost() : real(...args));
      const done = await answers;
      assert.deepEqual(
        done.map(({ status }) => status),
        [...Array<number>(9).fill(200), 502],
      );
      for (const { status, body } of done) assert.equal(await rig.callsOf(String(body['consumptionId'])), status === 200 ? 1 : 3);
      assert.equal((await balance())['consumed_total'], 90);
    });

    it('fails for some items of a batch: those are tried again until they are settled, too', async () => {
      const { order, balance } = await buyer();
      let fails = 5;
      // As when connections break in the middle of settling items one by one.
      ledger.settle = (real, items) => (items.length > 1 || fails-- > 0 ? connectionLost() : real(items));
      const answers = await Promise.all(Array.from({ length: 10 }, () => rig.consume(order())));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
      assert.equal((await balance())['consumed_total'], 100);
    });

    it('refuses one item: the others are answered meanwhile, and it is settled once it can be, without another call', async () => {
      const { order } = await buyer();
      const refusal = Object.assign(new Error('internal error'), { code: 'XX000' });
      let tries = 0;
      ledger.settle = (real, items) =>
        items.some(({ answer }) => answer?.message.includes('poison')) && ++tries < 8 ? Promise.reject(refusal) : real(items);
      const finished: string[] = [];
      const poisoned = rig.consume(order({ prompt: 'poison' })).then((answer) => (finished.push('poisoned'), answer));
      const others = await Promise.all(
        Array.from({ length: 10 }, () => rig.consume(order()).then((answer) => (finished.push('other'), answer))),
      );
      assert.deepEqual(new Set(others.map(({ status }) => status)), new Set([200]));
      const { status, body } = await poisoned;
      assert.deepEqual([status, finished.at(-1)], [200, 'poisoned']);
      assert.equal(await rig.callsOf(String(body['consumptionId'])), 1);
    });

    it('refuses an item for what is in it: that one is released, not tried for ever', async () => {
      const { order, rows } = await buyer();
      const invalid = Object.assign(new Error('invalid input'), { code: '22P05' });
      ledger.settle = (real, items) => (items.some(({ answer }) => answer !== null) ? Promise.reject(invalid) : real(items));
      const { status } = await rig.consume(order());
      assert.equal(status, 500);
      assert.deepEqual(
        (await rows()).map(({ state, charged }) => [state, charged]),
        [['RELEASED', 0]],
      );
    });

    it('commits but its answer is lost, and so is the next look: no call of the batch is made again', async () => {
      const { order, balance } = await buyer();
      let settles = 0;
      let finds = 0;
      ledger.settle = (real, ...args) => (++settles === 1 ? real(...args).then(connectionLost) : real(...args));
      ledger.find = (real, ...args) => (++finds <= 2 ? connectionLost() : real(...args));
      const answers = await Promise.all([
        rig.consume(order({ prompt: 'fast' })),
        rig.consume(order({ prompt: '[stub:slow=400]' })),
        rig.consume(order({ prompt: '[stub:slow=401]' })),
      ]);
      for (const { status, body } of answers) {
        assert.equal(status, 200);
        assert.equal(await rig.callsOf(String(body['consumptionId'])), 1);
      }
      assert.equal((await balance())['consumed_total'], 30);
    });
  });

  describe('when only the usage store is down', () => {
    it('answers as ever, and each event arrives once when it is back', async () => {
      const { order, events } = await buyer();
      usage.publish = connectionLost;
      const { answer, ms } = await timed(Promise.all(Array.from({ length: 5 }, () => rig.consume(order()))));
      assert.deepEqual(new Set(answer.map(({ status }) => status)), new Set([200]));
      assert.ok(ms < 1_000, `${ms} ms`);
      // The first time it is back, its answer is lost.
      let tries = 0;
      usage.publish = (real, events) => (++tries <= 2 ? real(events).then(connectionLost) : real(events));
      await eventually('all are there', async () => (await events()) === 5);
    });

    for (const how of ['rejects', 'does not answer'] as const) {
      it(`${how}: refusals are answered all the same, and recorded when it is back`, async () => {
        const { order, rows, events } = await buyer();
        let giveUp = (_reason: Error): void => undefined;
        const silence = new Promise<never>((_, reject) => (giveUp = reject));
        usage.publish = how === 'rejects' ? connectionLost : () => silence;
        const { answer, ms } = await timed(Promise.all(Array.from({ length: 5 }, () => rig.consume(order({ tokens: 1_001 })))));
        assert.deepEqual(new Set(answer.map(({ status }) => status)), new Set([429]));
        assert.ok(ms < 2_000, `${ms} ms`);
        delete usage.publish;
        giveUp(new Error('Query read timeout'));
        await eventually('all are recorded', async () => (await rows()).length === 5);
        assert.equal(await events(), 5);
      });
    }
  });

  describe('by a broken line to PostgreSQL', () => {
    let cable: Cable;
    let pool: Database;
    let service: TokenServiceRig;
    before(async () => {
      const url = new URL(database().url);
      cable = await layCable(Number(url.port));
      url.port = String(cable.port);
      pool = createPool(url.href, 4, { statementTimeoutMs: 700, connectTimeoutMs: 700 });
      await rig.stop();
      service = await startTokenServiceRig({ database: pool, temporal: temporal() });
    });
    after(async () => {
      await service.stop();
      await pool.end();
      await cable.close();
      rig = await startTokenServiceRig({ database: database().pool, temporal: temporal() });
    });
    afterEach(() => cable.mend());

    for (const breakIt of ['cut', 'hang', 'loseAnswers'] as const) {
      it(`${breakIt}: 503 in time for whoever comes, and nothing is left behind`, async () => {
        const { order, held } = await buyer();
        await service.consume(order());
        cable[breakIt]();
        const { answer, ms } = await timed(
          Promise.all([service.consume(order()), service.consume(order(), { 'idempotency-key': 'k' }), service.consume(order())]),
        );
        cable.mend();
        assert.deepEqual(new Set(answer.map(({ status }) => status)), new Set([503]), JSON.stringify(answer));
        assert.ok(ms < GATEWAY_PATIENCE_MS, `${ms} ms`);
        const retried = await service.consume(order(), { 'idempotency-key': 'k' });
        assert.equal(retried.status, 200, JSON.stringify(retried.body));
        await eventually('nothing is held', async () => (await held()) === 0);
      });

      it(`${breakIt} in mid-call: the answer comes when the line is back, of one call`, async () => {
        const { order, held, balance } = await buyer();
        const answer = service.consume(order({ prompt: '[stub:slow=400]' }));
        await eventually('it is held', async () => (await held()) === 1);
        cable[breakIt]();
        await eventually('it was called', async () => (await callsInFlight(service)) === 0);
        // Long enough for every connection to be given up at least once.
        await eventually('the settle step was tried', patience(1_500));
        cable.mend();
        const { status, body } = await answer;
        assert.equal(status, 200, JSON.stringify(body));
        assert.equal(await service.callsOf(String(body['consumptionId'])), 1);
        await eventually('it is charged once', async () => (await balance())['consumed_total'] === 10);
      });
    }
  });
});

async function callsInFlight({ stubUrl }: TokenServiceRig): Promise<number> {
  const { calls } = (await (await fetch(`${stubUrl}/control`)).json()) as { calls: { inFlight: number } };
  return calls.inFlight;
}
