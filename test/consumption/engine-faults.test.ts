import assert from 'node:assert/strict';
import { newBuyer, patience } from '../support/buyers.js';
import { layCable, type Cable } from '../support/cable.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type TokenServiceRig } from '../support/token-service.js';

/** A start's deadline and a little: also for those who waited for it to end. */
const REFUSED_WITHIN_MS = 6_000;

describe('consumption while the workflow engine is away', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let cable: Cable;
  let rig: TokenServiceRig;
  before(async () => {
    cable = await layCable(Number(temporal().address.split(':')[1]));
    rig = await startTokenServiceRig({
      database: database().pool,
      temporal: { address: `127.0.0.1:${cable.port}`, namespace: 'default' },
      environment: { LEAKY_BATCH_MAX_ITEMS: '2', LEAKY_PROVIDER_TIMEOUT_MS: '15000' },
    });
  });
  after(async () => {
    cable.mend();
    await rig.stop();
    await cable.close();
  });
  afterEach(async () => {
    cable.mend();
    await assertSound(database().pool, 25_000);
  });

  const buyer = () => newBuyer(database().pool);

  for (const breakIt of ['cut', 'hang', 'loseAnswers'] as const) {
    it(`${breakIt}: 503 within ${REFUSED_WITHIN_MS} ms for all who come, nothing is held, and the key works afterwards`, async () => {
      const { order, rows, held, balance } = await buyer();
      assert.equal((await rig.consume(order())).status, 200);
      cable[breakIt]();
      const from = performance.now();
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => rig.consume(order(), i === 0 ? { 'idempotency-key': 'k' } : {})),
      );
      const ms = performance.now() - from;
      for (const { status, body, headers } of answers) {
        assert.deepEqual([status, body['code']], [503, 'ENGINE_UNAVAILABLE']);
        assert.ok(headers.get('retry-after'));
      }
      assert.ok(ms < REFUSED_WITHIN_MS, `${ms} ms`);
      cable.mend();
      let retried = await rig.consume(order(), { 'idempotency-key': 'k' });
      await eventually('the engine is back', async () => {
        if (retried.status !== 503) return true;
        retried = await rig.consume(order(), { 'idempotency-key': 'k' });
        return false;
      });
      assert.equal(retried.status, 200, JSON.stringify(retried.body));
      assert.ok((retried.body['used'] as number) <= 20, 'the bucket was given back');
      assert.deepEqual([(await rows()).length, await held(), (await balance())['consumed_total']], [2, 0, 20]);
    });
  }

  it('workflows that began unseen have ended, and held nothing', async () => {
    await eventually(
      'none runs',
      async () => {
        const running = temporal().client.workflow.list({ query: `WorkflowType = 'consumeTokens' AND ExecutionStatus = 'Running'` });
        for await (const _ of running) return false;
        return true;
      },
      20_000,
    );
  });

  it('cut in mid-call: what is held is answered and charged without the engine, and recorded when it is back', async () => {
    const { order, held, balance } = await buyer();
    const answer = rig.consume(order({ prompt: '[stub:slow=300]' }));
    await eventually('it is held', async () => (await held()) === 1);
    cable.cut();
    const { status, body } = await answer;
    assert.equal(status, 200);
    assert.equal((await balance())['consumed_total'], 10);
    cable.mend();
    await assertSound(database().pool, 25_000);
    assert.equal(await rig.callsOf(String(body['consumptionId'])), 1);
  });

  it('gone for longer than a workflow task lives: the step that runs again joins the call that is under way', async () => {
    const { order, held, balance } = await buyer();
    const answers = Promise.all([rig.consume(order({ prompt: '[stub:slow=13000]' })), rig.consume(order({ prompt: '[stub:slow=13001]' }))]);
    await eventually('they are held', async () => (await held()) === 2);
    cable.hang();
    await eventually('the workflow task has timed out', patience(10_500), 12_000);
    cable.mend();
    for (const { status, body } of await answers) {
      assert.equal(status, 200);
      assert.equal(await rig.callsOf(String(body['consumptionId'])), 1);
    }
    assert.equal((await balance())['consumed_total'], 20);
  });
});
