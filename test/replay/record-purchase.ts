import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { orderOf, withBench } from '../purchase/bench.js';
import { saveHistory } from '../support/recording.js';

/**
 * Records what the tests of purchases do not show (they record the rest, with LEAKY_RECORD_HISTORIES=1): a step that fails for
 * good, and purchases that are still open, as most are that a deployment meets (15 s):
 *
 *     npm test -- test/replay/record-purchase.ts
 */
describe('record purchases', function () {
  this.timeout(60_000);

  describe('whose ledger refuses for good', () => {
    const bench = withBench({ worker: false });

    it('fail, with all undone', async () => {
      const allocate = () => Promise.reject(ApplicationFailure.nonRetryable('no such pool can be'));
      await bench.work({ ledger: { ...createPurchaseLedger(bench.pool()), allocate } });
      const order = orderOf();
      await bench.start(order);
      assert.equal((await bench.ended(order)).failureReason, 'STEP_FAILED');
      saveHistory('purchase-3-step-failed', await bench.handle(order).fetchHistory());
    });
  });

  describe('that are open', () => {
    const bench = withBench({ worker: false });

    it('wait for approval, wait for the provider, or are parked', async () => {
      const post = () => Promise.reject(new Error('connection lost'));
      await bench.work({ ledger: { ...createPurchaseLedger(bench.pool()), post } });
      const waiting = orderOf({ needsApproval: true });
      const paying = orderOf({ method: 'sim_slow:60000' });
      const parked = orderOf();
      await Promise.all([waiting, paying, parked].map(bench.start));
      await bench.until(waiting, ({ step }) => step === 'waiting for approval', 'it waits for approval');
      await bench.until(paying, ({ step }) => step === 'reserving the payment', 'it waits for the provider');
      await bench.until(parked, (state) => state.parked, 'it is parked');
      for (const [kind, order] of Object.entries({ waiting, paying, parked })) {
        saveHistory(`purchase-3-open-${kind}`, await bench.handle(order).fetchHistory());
      }
      await Promise.all([waiting, paying, parked].map((order) => bench.handle(order).terminate('recorded')));
      saveHistory('purchase-3-terminated', await bench.handle(parked).fetchHistory());
    });
  });
});
