import assert from 'node:assert/strict';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { createPool, type Database } from '../../adapters/postgres/pool.js';
import { createPaymentSimulator } from '../../adapters/payments/simulator.js';
import { createPurchaseEventSink } from '../../adapters/postgres/purchase-events.js';
import { createSagaStore } from '../../adapters/postgres/sagas.js';
import { activitiesOf, timerSummariesOf } from '../replay/histories.js';
import { layCable, type Cable } from '../support/cable.js';
import { readUntil } from '../support/eventually.js';
import { orderOf, withBench, type Bench } from './bench.js';

const historyOf = async (bench: Bench, order: ReturnType<typeof orderOf>) => bench.handle(order).fetchHistory();

describe('a purchase parked by an outage of the database', function () {
  this.timeout(90_000);
  let cable: Cable;
  let pool: Database;
  // Before the bench's own, which finds every connection that is left.
  after('the cable', async () => {
    cable.mend();
    await pool.end();
    await cable.close();
  });
  const bench = withBench({ worker: false });
  before('a worker at the far end of a cable, cut once the money is taken', async () => {
    const url = new URL(bench.databaseUrl());
    cable = await layCable(Number(url.port));
    url.port = String(cable.port);
    pool = createPool(url.href, 4, { connectTimeoutMs: 1_000 });
    const ledger = createPurchaseLedger(pool);
    let first = true;
    const post = (sagaId: string) => {
      if (first) cable.cut();
      first = false;
      return ledger.post(sagaId);
    };
    await bench.work({
      ledger: { ...ledger, post },
      payments: createPaymentSimulator(pool),
      sagas: createSagaStore(pool),
      events: createPurchaseEventSink(pool),
    });
  });

  it('says so on its timer, and goes on by itself within seconds once the database is back', async () => {
    const order = orderOf();
    await bench.start(order);
    const parked = await bench.until(order, (state) => state.parked, 'it is parked');
    assert.match(parked.step, /post the tokens/);
    const waiting = await readUntil(
      'it waits',
      () => historyOf(bench, order),
      (history) => timerSummariesOf(history).some(isOfParking),
    );
    assert.match(timerSummariesOf(waiting).find(isOfParking) ?? '', /^Parked: cannot post the tokens that are paid for: ./);
    await bench.record(bench.handle(order), 'open-outage');
    const mended = Date.now();
    cable.mend();
    assert.equal((await bench.ended(order, 'outage')).status, 'COMPLETED');
    const tookMs = Date.now() - mended;
    assert.ok(tookMs < 10_000, `it took ${tookMs} ms, its timer a minute`);
  });
});

const isOfParking = (summary: string) => summary.startsWith('Parked');

describe('a purchase whose stores answer and refuse its step as if they were away', function () {
  this.timeout(90_000);
  const bench = withBench({ worker: false });

  it('is woken once for each of its timers, not in a circle', async () => {
    let calls = 0;
    let broken = true;
    const ledger = createPurchaseLedger(bench.pool());
    const refused = () => {
      calls += 1;
      return Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
    };
    await bench.work({ ledger: { ...ledger, post: (sagaId: string) => (broken ? refused() : ledger.post(sagaId)) } });
    const order = orderOf();
    await bench.start(order);
    const twice = await readUntil(
      'it waits for the second time',
      () => historyOf(bench, order),
      (history) => timerSummariesOf(history).filter(isOfParking).length === 2,
    );
    assert.equal(calls, 10, 'two rounds of five attempts');
    assert.deepEqual(
      activitiesOf(twice).filter((name) => name === 'reachStores'),
      ['reachStores'],
      'only its timer and retryNow end the second wait',
    );
    broken = false;
    await bench.handle(order).signal('retryNow');
    assert.equal((await bench.ended(order, 'outage-refused')).status, 'COMPLETED');
  });
});
