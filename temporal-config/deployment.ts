import type { NativeConnection } from '@temporalio/worker';
import proto from '@temporalio/proto';
import { TASK_QUEUES } from '../contracts/temporal.js';
import { reasonOf, STATUS, statusOf, within, type Finding } from './finding.js';

const { TaskQueueType, WorkerDeploymentVersionStatus } = proto.temporal.api.enums.v1;

export interface DeploymentVersion {
  deploymentName: string;
  buildId: string;
}

export interface DeploymentState {
  current: string | null;
  ramping: { buildId: string; percentage: number } | null;
  /** Newest first; `drained` ones have no work left and their workers can go */
  versions: { buildId: string; status: string }[];
}

/** null: no worker of this deployment has ever polled. */
export async function describeDeployment(connection: NativeConnection, namespace: string, name: string): Promise<DeploymentState | null> {
  try {
    const { workerDeploymentInfo } = await connection.workflowService.describeWorkerDeployment({ namespace, deploymentName: name });
    const { routingConfig, versionSummaries } = workerDeploymentInfo ?? {};
    const ramping = routingConfig?.rampingDeploymentVersion?.buildId;
    return {
      current: routingConfig?.currentDeploymentVersion?.buildId || null,
      ramping: ramping ? { buildId: ramping, percentage: routingConfig?.rampingVersionPercentage ?? 0 } : null,
      versions: (versionSummaries ?? []).map(({ deploymentVersion, status }) => ({
        buildId: deploymentVersion?.buildId ?? '',
        status: nameOf(WorkerDeploymentVersionStatus[status ?? 0]),
      })),
    };
  } catch (error) {
    if (statusOf(error) === STATUS.notFound) return null;
    throw error;
  }
}

const nameOf = (status = '') => status.replace('WORKER_DEPLOYMENT_VERSION_STATUS_', '').toLowerCase();

/**
 * For a cluster on which nothing runs yet: its first workers then have work at once. Where workers are running, they go on with
 * theirs until somebody promotes a version that has workers.
 */
export async function ensureFirstVersion(connection: NativeConnection, namespace: string, version: DeploymentVersion): Promise<Finding> {
  const what = `current worker version ${version.buildId}`;
  const current = (await describeDeployment(connection, namespace, version.deploymentName))?.current ?? null;
  if (current === version.buildId) return { what, state: 'as wanted' };
  const promote = 'once the workers of this version run: leaky deploy promote';
  if (current !== null) return { what, state: 'differs', detail: `current is ${current}; ${promote}` };
  if (await hasPollers(connection, namespace))
    return { what, state: 'by hand', detail: `workers without a version are running; ${promote}` };
  await setCurrent(connection, namespace, version, true);
  return { what, state: 'created' };
}

async function hasPollers(connection: NativeConnection, namespace: string): Promise<boolean> {
  const described = await Promise.all(
    Object.values(TASK_QUEUES).map((name) =>
      connection.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name },
        taskQueueType: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
      }),
    ),
  );
  return described.some(({ pollers }) => pollers.length > 0);
}

/**
 * Open workflows go on in this version from their next task, new ones start in it. The server refuses when the version has no
 * workers on a queue that the current one serves; that is waited for, as workers may still be starting.
 * @throws Error with the server's reason when that takes longer than `patienceMs`
 */
export async function promote(
  connection: NativeConnection,
  namespace: string,
  version: DeploymentVersion,
  patienceMs: number,
): Promise<Finding> {
  const what = `current worker version ${version.buildId}`;
  const before = await describeDeployment(connection, namespace, version.deploymentName);
  if (before?.current === version.buildId && !before.ramping) return { what, state: 'as wanted' };
  let refusal = '';
  const done = await within(patienceMs, async () => {
    try {
      await setCurrent(connection, namespace, version, false);
      return true;
    } catch (error) {
      if (statusOf(error) !== STATUS.notFound && statusOf(error) !== STATUS.failedPrecondition) throw error;
      refusal = reasonOf(error);
      return false;
    }
  });
  if (!done) throw new Error(`The server does not make ${version.buildId} the current version: ${refusal}`);
  return { what, state: before?.current ? 'updated' : 'created', detail: `before: ${before?.current ?? 'workers without a version'}` };
}

/** Gives the version a share of the new and open workflows; 0 takes it away again. */
export async function ramp(
  connection: NativeConnection,
  namespace: string,
  version: DeploymentVersion,
  percentage: number,
): Promise<Finding> {
  const what = `ramping worker version ${version.buildId}`;
  const before = await describeDeployment(connection, namespace, version.deploymentName);
  const share = before?.ramping?.buildId === version.buildId ? before.ramping.percentage : 0;
  if (share === percentage) return { what, state: 'as wanted' };
  const { deploymentName, buildId } = version;
  await connection.workflowService.setWorkerDeploymentRampingVersion({
    namespace,
    deploymentName,
    buildId: percentage === 0 ? '' : buildId,
    percentage,
  });
  return { what, state: 'updated', detail: `from ${share} % to ${percentage} %` };
}

async function setCurrent(
  connection: NativeConnection,
  namespace: string,
  version: DeploymentVersion,
  allowNoPollers: boolean,
): Promise<void> {
  await connection.workflowService.setWorkerDeploymentCurrentVersion({ namespace, ...version, allowNoPollers });
}
