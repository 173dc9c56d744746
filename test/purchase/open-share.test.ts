import assert from 'node:assert/strict';
import { readUntil } from '../support/eventually.js';
import { withBench } from './bench.js';
import { someone, withApi, type Person } from './http-support.js';

const SLOW_MS = 13_000;
const SHARE = 20;

describe('the share of open purchases', function () {
  this.timeout(90_000);
  const bench = withBench();
  /** Two token services: the share is one. */
  const apis = [withApi(bench), withApi(bench)] as const;
  const buy = (buyer: Person, which: 0 | 1, paymentMethod?: string, key?: string) =>
    apis[which].call(buyer, '/purchase', {
      body: { userId: buyer.userId, provider: 'openai', tokens: 5_000, ...(paymentMethod && { paymentMethod }) },
      ...(key && { key }),
    });

  async function timed(): Promise<number> {
    const buyer = someone();
    const began = Date.now();
    const { body } = await buy(buyer, 0);
    await readUntil(
      'it completes',
      () => apis[0].call(buyer, `/purchase/${String(body['sagaId'])}`),
      (answer) => answer.body['status'] === 'COMPLETED',
    );
    return Date.now() - began;
  }

  async function median(): Promise<number> {
    const times = [await timed(), await timed(), await timed()].sort((a, b) => a - b);
    return times[1] ?? Infinity;
  }

  it('keeps 124 slow payments of one user from delaying another one\u2019s purchase', async () => {
    const undisturbed = await median();
    const crowd = someone();
    const answers = await Promise.all(Array.from({ length: 124 }, (_, i) => buy(crowd, i % 2 === 0 ? 0 : 1, `sim_slow:${SLOW_MS}`)));
    await readUntil(
      'the first of them wait for the provider',
      () => bench.pool().query(`SELECT 1 FROM sim_payments WHERE method = $1`, [`sim_slow:${SLOW_MS}`]),
      ({ rowCount }) => rowCount === SHARE,
    );
    const disturbed = await median();
    assert.ok(disturbed < undisturbed + 1_000, `${disturbed} ms instead of ${undisturbed} ms`);
    const refused = answers.filter(({ status }) => status === 429);
    assert.equal(answers.filter(({ status }) => status === 202).length, SHARE);
    assert.equal(refused.length, 124 - SHARE);
    for (const { body, headers } of refused) {
      assert.deepEqual(
        [body['code'], body['policy'], body['limit'], body['used']],
        ['TOO_MANY_OPEN_PURCHASES', 'open-purchases', SHARE, SHARE],
      );
      assert.ok(Number(headers.get('retry-after')) >= 1);
    }
    // A purchase that has ended makes room for one, and no more.
    const open = answers.find(({ status }) => status === 202)?.body['sagaId'];
    await apis[0].call(crowd, `/purchase/${String(open)}/cancel`, { method: 'POST' });
    await readUntil(
      'one has ended',
      () => apis[0].call(crowd, `/purchase/${String(open)}`),
      ({ body }) => body['status'] === 'FAILED',
    );
    const next = await Promise.all([0, 1, 0, 1].map((which) => buy(crowd, which as 0 | 1, 'sim_slow:1000')));
    assert.deepEqual(next.map(({ status }) => status).sort(), [202, 429, 429, 429]);
  });

  it('counts no purchase twice that is asked for again, and none that is parked', async () => {
    const buyer = someone();
    const keys = Array.from({ length: SHARE }, (_, i) => `k${i}`);
    for (const key of [...keys, ...keys]) assert.equal((await buy(buyer, 0, 'sim_slow:10000', key)).status, 202);
    assert.equal((await buy(buyer, 1)).status, 429);
    await readUntil(
      'all are begun',
      () => bench.pool().query('SELECT 1 FROM token_purchase_saga WHERE user_id = $1', [buyer.userId]),
      ({ rowCount }) => rowCount === SHARE,
    );
    await bench.pool().query(`UPDATE token_purchase_saga SET parked_on = 'for this test' WHERE user_id = $1`, [buyer.userId]);
    assert.equal((await buy(buyer, 1)).status, 202);
    await bench.pool().query('UPDATE token_purchase_saga SET parked_on = NULL WHERE user_id = $1', [buyer.userId]);
    // Their steps would go on when the database has gone.
    await readUntil(
      'all have ended',
      () => bench.pool().query(`SELECT 1 FROM token_purchase_saga WHERE user_id = $1 AND status <> 'COMPLETED'`, [buyer.userId]),
      ({ rowCount }) => rowCount === 0,
      60_000,
    );
  });
});
