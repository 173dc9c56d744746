import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { WorkflowFailedError, type Client } from '@temporalio/client';
import { ApplicationFailure, rootCause } from '@temporalio/common';
import { createPurchaseEngine } from '../../adapters/temporal/purchases.js';
import { temporalOptions } from '../../compose/temporal.js';
import {
  PURCHASE_MESSAGES,
  TASK_QUEUES,
  WORKFLOWS,
  workflowIds,
  type PurchaseOrder,
  type PurchaseState,
} from '../../contracts/temporal.js';
import { distRoot } from '../../root.js';
import { sealedWith } from '../../temporal-config/payload-codec.js';
import { activitiesOn } from '../purchase/activities.js';
import { orderOf } from '../purchase/bench.js';
import { newBuyer } from '../support/buyers.js';
import { withClusterNamespace } from '../support/cluster-namespace.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { startTokenServiceRig } from '../support/token-service.js';

const run = promisify(execFile);
const hex = () => randomBytes(32).toString('hex');

describe('with payload keys, on a cluster', function () {
  this.timeout(120_000);
  const cluster = withClusterNamespace('sealed');
  const database = withDatabase();
  const [first, second] = [hex(), hex()];
  const sealed = { LEAKY_PAYLOAD_KEYS: `first:${first}` };
  const rotated = { LEAKY_PAYLOAD_KEYS: `first:${first},second:${second}`, LEAKY_PAYLOAD_ACTIVE_KEY: 'second' };
  const handleOf = (client: Client, { sagaId }: PurchaseOrder) => client.workflow.getHandle(workflowIds.purchase(sagaId));

  async function buy(settings: Record<string, string>, taskQueue: string, over: Parameters<typeof orderOf>[0] = {}) {
    const { client } = await cluster().connect(settings);
    const order = orderOf({ idempotencyKey: `key-${randomUUID()}`, ...over });
    assert.equal(await createPurchaseEngine({ client, taskQueue }).start(order), 'STARTED');
    return { client, order, handle: handleOf(client, order) };
  }

  /** A compensation that fails once, and a workflow that fails: their messages are in the histories. */
  async function failures(settings: Record<string, string>, message: string) {
    const queue = `failures-${randomUUID()}`;
    const findAnomalies = () => Promise.reject(ApplicationFailure.nonRetryable(message));
    await cluster().work(queue, { ...activitiesOn(database().pool), findAnomalies }, settings);
    const { client, order, handle } = await buy(settings, queue, { method: 'sim_release_fails:1' });
    const state = (await handle.result()) as PurchaseState;
    assert.equal(state.failureReason, 'CAPTURE_DECLINED');
    const scan = { taskQueue: queue, workflowId: queue, args: [{ windowMinutes: 1, baselineWindows: 1, thresholdMultiplier: 2 }] };
    const failed = client.workflow.execute(WORKFLOWS.scanAnomalies, scan);
    await assert.rejects(failed, (error) => error instanceof WorkflowFailedError && rootCause(error.cause) === message);
    return order;
  }

  it('nothing that a purchase or a failure carries can be read in the databases; without keys all of it can', async () => {
    const { tablesWith } = cluster().server;
    const texts = ({ idempotencyKey, payloadHash, paymentMethod }: PurchaseOrder, message: string) =>
      [idempotencyKey, payloadHash, paymentMethod, 'The simulated undo failed', message, 'CAPTURE_DECLINED', 'US cents'].map(String);
    const hidden = `hidden-${randomUUID()}`;
    const order = await failures(sealed, hidden);
    for (const text of texts(order, hidden)) assert.deepEqual(await tablesWith(text), [], text);
    assert.ok((await tablesWith(order.sagaId)).includes('temporal.history_node'), 'ids of workflows are never encrypted');

    const shown = `shown-${randomUUID()}`;
    const plain = await failures({}, shown);
    for (const text of texts(plain, shown)) assert.ok((await tablesWith(text)).includes('temporal.history_node'), text);
  });

  it('a consumption runs through, its ids are hidden and its batch still starts eagerly', async () => {
    const { config, server } = cluster();
    const rig = await startTokenServiceRig({ database: database().pool, temporal: temporalOptions(config(sealed)) });
    try {
      const buyer = await newBuyer(database().pool);
      const answers = await Promise.all([1, 2, 3].map(() => rig.consume(buyer.order({ prompt: 'a prompt nobody should see' }))));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200],
        JSON.stringify(answers[0]?.body),
      );
      const rows = await buyer.rows();
      for (const { id } of rows) assert.deepEqual(await server.tablesWith(id), [], id);
      assert.deepEqual(await server.tablesWith('nobody should see'), []);
      const { client } = await cluster().connect(sealed);
      const history = await client.workflow.getHandle(rows[0]?.workflowId ?? '').fetchHistory();
      // The first task of an eager start is scheduled and started in one write, which counts its events in one go.
      const [scheduled, started] = history.events?.slice(1, 3).map(({ taskId }) => Number(taskId)) ?? [];
      assert.equal(started, (scheduled ?? 0) + 1);
    } finally {
      await rig.stop();
    }
  });

  it('queries, memos, signals and updates work, and an open purchase goes on under a new key', async () => {
    const queue = `rotation-${randomUUID()}`;
    const activities = activitiesOn(database().pool);
    const before = await cluster().work(queue, activities, sealed);
    const { handle, order } = await buy(sealed, queue, { needsApproval: true });
    await eventually(
      'it waits',
      async () => (await handle.query<PurchaseState, []>(PURCHASE_MESSAGES.status)).step === 'waiting for approval',
    );
    assert.equal((await handle.describe()).memo?.payloadHash, order.payloadHash);
    await before.stop();

    await cluster().work(queue, activities, rotated);
    const { client } = await cluster().connect(rotated);
    const again = handleOf(client, order);
    await again.signal(PURCHASE_MESSAGES.approve);
    assert.equal(((await again.result()) as PurchaseState).status, 'COMPLETED');
    const used = new Set((await again.fetchHistory()).events?.flatMap(payloadsOf).map(sealedWith));
    assert.deepEqual(used, new Set(['first', 'second']));

    const unwanted = (await buy(rotated, queue, { needsApproval: true })).handle;
    await unwanted.executeUpdate(PURCHASE_MESSAGES.cancel);
    assert.equal(((await unwanted.result()) as PurchaseState).failureReason, 'CANCELLED');
  });

  it('replays with its keys, and without them says which one is missing', async () => {
    const queue = `replay-${randomUUID()}`;
    await cluster().work(queue, activitiesOn(database().pool), sealed);
    const { handle } = await buy(sealed, queue);
    await handle.result();
    const replay = async (settings: Record<string, string>) => {
      const env = { PATH: '/usr/bin:/bin', ...cluster().environment(settings) };
      const command = [path.join(distRoot, 'leaky.js'), 'replay', handle.workflowId];
      return run(process.execPath, command, { env }).then(
        ({ stdout }) => ({ code: 0, text: stdout }),
        (error: { stdout: string; stderr: string; code: number }) => ({ code: error.code, text: error.stdout + error.stderr }),
      );
    };
    const [withKeys, withOther] = await Promise.all([replay(rotated), replay({ LEAKY_PAYLOAD_KEYS: `second:${second}` })]);
    assert.equal(withKeys.code, 0, withKeys.text);
    assert.match(withKeys.text, /^ok .*purchaseQuota/);
    assert.notEqual(withOther.code, 0);
    assert.match(withOther.text, /payload key first is not among those of LEAKY_PAYLOAD_KEYS \(second\)/);
  });

  it('loses no open workflow when server and database are killed with -9', async () => {
    const activities = activitiesOn(database().pool);
    await cluster().work(TASK_QUEUES.purchase, activities, sealed);
    const open = await Promise.all(Array.from({ length: 5 }, () => buy(sealed, TASK_QUEUES.purchase, { needsApproval: true })));
    const waiting = async ({ handle }: (typeof open)[number]) =>
      (await handle.query<PurchaseState, []>(PURCHASE_MESSAGES.status)).step === 'waiting for approval';
    await eventually('all wait', async () => (await Promise.all(open.map(waiting))).every(Boolean), 30_000);
    await cluster().server.crash();
    await Promise.all(open.map(({ handle }) => handle.signal(PURCHASE_MESSAGES.approve)));
    const states = (await Promise.all(open.map(({ handle }) => handle.result()))) as PurchaseState[];
    assert.deepEqual(new Set(states.map(({ status }) => status)), new Set(['COMPLETED']));
  });
});

/** Every payload of an event, wherever it is; search attributes are never encrypted and left out. */
function payloadsOf(value: unknown): { metadata?: Record<string, Uint8Array> }[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  if ('data' in value && 'metadata' in value) return [value as { metadata: Record<string, Uint8Array> }];
  return Object.entries(value).flatMap(([name, member]) => (name === 'searchAttributes' ? [] : payloadsOf(member)));
}
