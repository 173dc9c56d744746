import assert from 'node:assert/strict';
import { MockActivityEnvironment } from '@temporalio/testing';
import { v7 } from 'uuid';
import { createConsumptionActivities } from '../../activities/consumption.js';
import { Settler } from '../../activities/settler.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { MemoryIntake } from '../../api/tokens/intake.js';
import { createLogger } from '../../telemetry/log.js';
import { buy, requestFor, userPool } from '../support/consumptions.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';

describe('the steps of a batch, run again because the engine lost sight of them', () => {
  const database = withDatabase();

  it('find what they did before, also what was answered since, and record all of it', async () => {
    const db = database().pool;
    const ledger = createConsumptionLedger(db, { enforceQuota: true });
    const intake = new MemoryIntake();
    let calls = 0;
    const steps = createConsumptionActivities({
      ledger,
      intake,
      settler: new Settler(ledger, intake, createLogger('silent')),
      usage: createUsageSink(db),
      providers: {
        complete: ({ provider }) => {
          calls++;
          return Promise.resolve({ ok: true, attempts: 1, answer: { id: 'a', provider, model: 'm', message: 'hello', usage: null } });
        },
      },
    });
    const [rich, poor] = [userPool(), userPool()];
    await buy(db, rich, 10);
    const requests = [requestFor(rich, 10), requestFor(poor, 10)];
    const batch = { batchId: v7(), consumptionIds: requests.map(({ id }) => id) };
    const outcomes = requests.map((request) => intake.accept(request));
    intake.open(batch.batchId, requests);
    const workflowExecution = { workflowId: `consume-${batch.batchId}`, runId: v7() };
    const run = <T>(step: (of: typeof batch) => Promise<T>) => new MockActivityEnvironment({ workflowExecution }).run(() => step(batch));

    const reserved = { held: 1, refused: 1, abandoned: 0 };
    assert.deepEqual(await run(steps.reserveTokens), reserved);
    assert.deepEqual(await run(steps.reserveTokens), reserved, 'the refusal was answered and is no longer waiting');
    await Promise.all([run(steps.callProviders), run(steps.callProviders)]);
    assert.equal(calls, 1);
    assert.deepEqual(
      (await Promise.all(outcomes)).map(({ kind }) => kind),
      ['settled', 'ended'],
    );
    assert.deepEqual(await run(steps.reserveTokens), reserved);
    await run(steps.publishUsage);
    await run(steps.publishUsage);
    await assertSound(db);
  });
});
