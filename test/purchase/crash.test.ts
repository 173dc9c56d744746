import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { PURCHASE_MESSAGES, WORKFLOWS, type PurchaseState } from '../../contracts/temporal.js';
import { readUntil } from '../support/eventually.js';
import { callsOf, orderOf, paymentOf, withBench } from './bench.js';

describe('a purchase that outlives its worker', function () {
  this.timeout(60_000);
  const bench = withBench({ worker: false });
  const children: ChildProcess[] = [];
  after('no worker process is left', () => children.forEach((child) => child.kill('SIGKILL')));

  it('is finished by another worker after kill -9 between the taking of the money and its answer: captured once', async () => {
    const args = [bench.databaseUrl(), bench.temporal().address, bench.taskQueue];
    const child = fork(path.join(import.meta.dirname, 'worker-process.js'), args, { stdio: 'ignore' });
    children.push(child);
    const order = orderOf({ method: 'sim_slow_capture:60000' });
    await bench.start(order);
    await readUntil(
      'the money is taken',
      () => paymentOf(bench.pool(), order),
      (row) => row?.state === 'CAPTURED',
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    await bench.work();
    assert.equal((await bench.ended(order, 'worker-killed')).status, 'COMPLETED');
    assert.deepEqual(await callsOf(bench.pool(), order, 'CAPTURE'), ['CAPTURED/OK', 'NONE/OK']);
  });
});

describe('a purchase whose ledger cannot be written after the capture', function () {
  this.timeout(60_000);
  const bench = withBench({ worker: false });

  it('is parked with the money taken, and completes after retryNow', async () => {
    let broken = true;
    const ledger = createPurchaseLedger(bench.pool());
    const post = (sagaId: string) => (broken ? Promise.reject(new Error('the disk is full')) : ledger.post(sagaId));
    await bench.work({ ledger: { ...ledger, post } });
    const order = orderOf();
    await bench.start(order);
    const parked = await bench.until(order, (state) => state.parked, 'it is parked');
    assert.deepEqual([parked.status, parked.failureReason], ['TOKENS_ALLOCATED', null]);
    await assert.rejects(bench.handle(order).executeUpdate(PURCHASE_MESSAGES.cancel), 'the money is taken: no cancellation');
    broken = false;
    await bench.handle(order).signal(PURCHASE_MESSAGES.retryNow);
    assert.equal((await bench.ended(order, 'posting-parked')).status, 'COMPLETED');
  });
});

describe('a purchase that another execution has run already', function () {
  this.timeout(60_000);
  const bench = withBench();

  it('is answered from its row and charged once, as after the retention of the first history', async () => {
    const order = orderOf();
    await bench.start(order);
    await bench.ended(order);
    const again = await bench.temporal().client.workflow.start(WORKFLOWS.purchaseQuota, {
      workflowId: `${bench.handle(order).workflowId}-again`,
      args: [order],
      taskQueue: bench.taskQueue,
    });
    const state = (await again.result()) as PurchaseState;
    assert.equal(state.status, 'COMPLETED');
    await bench.record(again, 'run-before');
    assert.deepEqual(await callsOf(bench.pool(), order, 'CAPTURE'), ['CAPTURED/OK']);
  });
});
