import type { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { ensureFirstVersion, type DeploymentVersion } from './deployment.js';
import { isRefusal, reasonOf, type Finding } from './finding.js';
import { ensureNamespace } from './namespace.js';
import { ensureSchedules, type ScheduledWorkflow } from './schedules.js';
import { ensureSearchAttributes } from './search-attributes.js';

export interface WantedCluster {
  retentionDays: number;
  schedules: readonly ScheduledWorkflow[];
  /** Id of the payload key in use; null: none */
  activeKey: string | null;
  /** null: workers are not versioned */
  version: DeploymentVersion | null;
}

/** Of each call, retries included */
const DEADLINE_MS = 120_000;

/**
 * Makes a cluster, or a namespace of Temporal Cloud, fit for this system. Idempotent, also when two run at once. What the server
 * leaves to others is named ("by hand") and all else is done and checked all the same.
 * @throws Error when the server cannot be asked
 */
export async function setUpTemporal(
  { connection, client, namespace }: { connection: NativeConnection; client: Client; namespace: string },
  wanted: WantedCluster,
): Promise<Finding[]> {
  return connection.withDeadline(Date.now() + DEADLINE_MS, async () => {
    const found = await ensureNamespace(connection, namespace, wanted.retentionDays);
    if (found.state === 'by hand' && !(await canBeUsed(connection, namespace))) return [found];
    const attributes = await ensureSearchAttributes(connection, namespace);
    const schedules = await ensureSchedules(client, wanted.schedules, wanted.activeKey);
    const version = wanted.version ? [await ensureFirstVersion(connection, namespace, wanted.version)] : [];
    return [found, ...attributes, ...schedules, ...version];
  });
}

/** Credentials for the work in a namespace often do not reach to its settings. */
async function canBeUsed(connection: NativeConnection, namespace: string): Promise<boolean> {
  try {
    await connection.workflowService.countWorkflowExecutions({ namespace });
    return true;
  } catch (error) {
    if (isRefusal(error) || /not found/i.test(reasonOf(error))) return false;
    throw error;
  }
}
