import { type NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type { DataConverter, WorkerDeploymentVersion } from '@temporalio/common';
import proto from '@temporalio/proto';
import { traceSinks, tracedActivities } from '../adapters/temporal/tracing.js';
import { activeTracer } from '../telemetry/tracing.js';
import { workflowBundle } from '../temporal-config/data-converter.js';

export interface RunningWorker {
  taskQueue: string;
  /** Resolves when the server has seen this worker poll: work started from then on is not left waiting */
  polled(): Promise<void>;
  /** Rejects when the worker can't go on; resolves after `stop` */
  ended: Promise<void>;
  /** Stops polling, lets running activities finish within the grace, and resolves when all is still */
  stop(): Promise<void>;
}

export type WorkerTuning = Pick<
  WorkerOptions,
  | 'maxConcurrentWorkflowTaskExecutions'
  | 'maxConcurrentActivityTaskExecutions'
  | 'maxConcurrentLocalActivityExecutions'
  | 'maxCachedWorkflows'
  | 'workflowTaskPollerBehavior'
  | 'activityTaskPollerBehavior'
  | 'reuseV8Context'
>;

export interface CreateWorkerOptions {
  connection: NativeConnection;
  namespace: string;
  taskQueue: string;
  activities: object;
  dataConverter?: DataConverter | undefined;
  /** Absent: takes any work of its queue. Present: only work of its version, once that is the current one */
  version?: WorkerDeploymentVersion | undefined;
  shutdownGraceMs: number;
  tuning?: WorkerTuning;
}

/**
 * Of the worker of consumptions. A batch keeps its workflow task until its longest provider call and its publishing have ended, as
 * its steps are local activities: with the SDK's 40 slots, 40 batches that wait for a slow provider, or for the usage store, would
 * stop all others. A batch that waits costs memory only (docs/decisions/0016-consumption.md). A local activity that is tried again
 * keeps no slot meanwhile, and a workflow whose task is over stays in memory, hence twice as many of both.
 */
export const consumptionTuning = (batchSlots: number): WorkerTuning => ({
  maxConcurrentWorkflowTaskExecutions: batchSlots,
  maxConcurrentLocalActivityExecutions: batchSlots * 2,
  maxCachedWorkflows: batchSlots * 2,
});

const POLL_TIMEOUT_MS = 20_000;

/** Starts a worker on one task queue with the bundle that the build made. Runtime logging must be installed before. */
export async function createWorker(options: CreateWorkerOptions): Promise<RunningWorker> {
  const { connection, namespace, taskQueue, dataConverter, version } = options;
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    workflowBundle: workflowBundle(dataConverter),
    ...(dataConverter && { dataConverter }),
    ...(version && { workerDeploymentOptions: versioned(version) }),
    activities: options.activities,
    sinks: traceSinks,
    interceptors: { activity: activeTracer() ? [tracedActivities] : [] },
    shutdownGraceTime: options.shutdownGraceMs,
    shutdownForceTime: options.shutdownGraceMs + 5_000,
    // A task of a workflow whose worker died waits this long for it before another worker may take it over; the default is 10 s.
    stickyQueueScheduleToStartTimeout: '2s',
    ...options.tuning,
  });
  const ended = worker.run();
  // Whoever awaits `ended` sees the failure; before that, it must not be an unhandled rejection.
  ended.catch(() => undefined);
  return {
    taskQueue,
    ended,
    polled: () => Promise.race([untilPolled(connection, namespace, taskQueue, worker.options.identity), ended]),
    stop: async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await ended;
    },
  };
}

/**
 * Open workflows move to the version that becomes current. Pinned ones would wait for workers of their own version, and what a
 * dead process leaves behind, holds above all, must not wait for a build that nobody runs any more. That they can move is what
 * the replay tests hold.
 */
const versioned = (version: WorkerDeploymentVersion) =>
  ({ version, useWorkerVersioning: true, defaultVersioningBehavior: 'AUTO_UPGRADE' }) as const;

const { TASK_QUEUE_TYPE_WORKFLOW } = proto.temporal.api.enums.v1.TaskQueueType;

/** The worker's own state says that it wants to poll; the server's list of pollers says that a poll has arrived. */
async function untilPolled(connection: NativeConnection, namespace: string, taskQueue: string, identity: string): Promise<void> {
  const deadline = Date.now() + POLL_TIMEOUT_MS;
  const polls = async (name: string) => {
    const asked = { namespace, taskQueue: { name }, taskQueueType: TASK_QUEUE_TYPE_WORKFLOW };
    const { pollers } = await connection.workflowService.describeTaskQueue(asked);
    return pollers.some((poller) => poller.identity === identity);
  };
  // The queue itself is the first of its partitions, and mostly the only one.
  if (await polls(taskQueue)) return;
  const partitions = await partitionsOf(connection, namespace, taskQueue);
  // Each knows only the polls that came to it, and which one a worker polls is chance.
  while (!(await Promise.all(partitions.map(polls))).includes(true)) {
    if (Date.now() > deadline) throw new Error(`The worker of ${taskQueue} has not polled within ${POLL_TIMEOUT_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Names of a queue's partitions, of which the first is the queue itself. */
async function partitionsOf(connection: NativeConnection, namespace: string, taskQueue: string): Promise<string[]> {
  try {
    const { workflowTaskQueuePartitions } = await connection.workflowService.listTaskQueuePartitions({
      namespace,
      taskQueue: { name: taskQueue },
    });
    const keys = workflowTaskQueuePartitions.map(({ key }) => key ?? taskQueue);
    return keys.length > 0 ? keys : [taskQueue];
  } catch {
    // Not every server lets its users ask. The queue's own list then has to do.
    return [taskQueue];
  }
}
