import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createPurchaseEngine } from '../../adapters/temporal/purchases.js';
import { deploymentStatus, runPromote } from '../../compose/deploy.js';
import { createResources, type Resources } from '../../compose/resources.js';
import { temporalOptions } from '../../compose/temporal.js';
import { PURCHASE_MESSAGES, TASK_QUEUES, workflowIds, type PurchaseState } from '../../contracts/temporal.js';
import { createLogger } from '../../telemetry/log.js';
import { describeDeployment } from '../../temporal-config/deployment.js';
import { activitiesOn } from '../purchase/activities.js';
import { orderOf } from '../purchase/bench.js';
import { newBuyer } from '../support/buyers.js';
import { withClusterNamespace } from '../support/cluster-namespace.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { startTokenServiceRig } from '../support/token-service.js';

describe('versions of workers, on a cluster', function () {
  this.timeout(120_000);
  const cluster = withClusterNamespace('versions');
  const database = withDatabase();
  const versioned = (buildId: string) => ({ LEAKY_WORKER_VERSIONING: 'true', LEAKY_BUILD_ID: buildId });
  const opened: Resources[] = [];
  after(() => Promise.all(opened.map((resources) => resources.close())));

  const operator = (buildId: string): Resources => {
    const resources = createResources({ config: cluster().config(versioned(buildId)), log: createLogger('silent') });
    opened.push(resources);
    return resources;
  };
  const promote = async (buildId: string) => (await runPromote(operator(buildId), {})).state;
  /** Which build has carried out the steps of a purchase, in order */
  async function buildsOf(workflowId: string): Promise<string[]> {
    const { client } = await cluster().connect();
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    return events?.flatMap(({ workflowTaskCompletedEventAttributes: done }) => done?.deploymentVersion?.buildId ?? []) ?? [];
  }
  async function start(over: Parameters<typeof orderOf>[0] = {}) {
    const { client } = await cluster().connect();
    const order = orderOf(over);
    await createPurchaseEngine({ client }).start(order);
    return client.workflow.getHandle(workflowIds.purchase(order.sagaId));
  }

  it('the old one works until the new one is promoted; then open purchases move, and the old one drains', async () => {
    const activities = activitiesOn(database().pool);
    const old = await cluster().work(TASK_QUEUES.purchase, activities, versioned('one'));
    assert.equal(await promote('one'), 'created');
    assert.equal(await promote('one'), 'as wanted');
    const open = await start({ needsApproval: true });
    await eventually(
      'it waits',
      async () => (await open.query<PurchaseState, []>(PURCHASE_MESSAGES.status)).step === 'waiting for approval',
    );

    await cluster().work(TASK_QUEUES.purchase, activities, versioned('two'));
    const early = await start();
    await early.result();
    assert.deepEqual(new Set(await buildsOf(early.workflowId)), new Set(['one']), 'the new one gets nothing before it is promoted');

    assert.equal(await promote('two'), 'updated');
    await open.signal(PURCHASE_MESSAGES.approve);
    assert.equal(((await open.result()) as PurchaseState).status, 'COMPLETED');
    const builds = await buildsOf(open.workflowId);
    assert.deepEqual([builds[0], builds.at(-1)], ['one', 'two'], builds.join(' '));

    const { connection } = await cluster().connect();
    const statusOf = async (buildId: string) =>
      (await describeDeployment(connection, 'versions', 'leaky-tokens'))?.versions.find((version) => version.buildId === buildId)?.status;
    await eventually('the old one has drained', async () => (await statusOf('one')) === 'drained', 30_000);
    assert.match((await deploymentStatus(operator('two'))).join('\n'), /this build is two\n(.|\n)*  two  current/);
    await old.stop();
    const late = await start();
    await late.result();
    assert.deepEqual(new Set(await buildsOf(late.workflowId)), new Set(['two']));
  });

  it('a bad build is taken out by promoting the one before it', async () => {
    await cluster().work(TASK_QUEUES.purchase, activitiesOn(database().pool), versioned('one'));
    assert.equal(await promote('one'), 'updated');
    const handle = await start();
    await handle.result();
    assert.deepEqual(new Set(await buildsOf(handle.workflowId)), new Set(['one']));
  });

  it('a version without workers is not promoted', async () => {
    const { connection } = await cluster().connect();
    const { promote: ask } = await import('../../temporal-config/deployment.js');
    await assert.rejects(
      ask(connection, 'versions', { deploymentName: 'leaky-tokens', buildId: `never-${randomUUID()}` }, 500),
      /does not make never-/,
    );
  });

  it('batches start eagerly, on the build of the token service that took the request', async () => {
    const rig = await startTokenServiceRig({
      database: database().pool,
      temporal: temporalOptions(cluster().config()),
      version: { deploymentName: 'leaky-tokens', buildId: 'three' },
    });
    try {
      const buyer = await newBuyer(database().pool);
      const answers = await Promise.all([1, 2].map(() => rig.consume(buyer.order())));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200],
        JSON.stringify(answers[0]?.body),
      );
      const workflowId = (await buyer.rows())[0]?.workflowId ?? '';
      await eventually('the batch is complete', async () => (await buildsOf(workflowId)).length > 0);
      assert.deepEqual(await buildsOf(workflowId), ['three'], 'not the current version: no task went through matching');
    } finally {
      await rig.stop();
    }
  });
});
