import { msToTs } from '@temporalio/common/lib/time.js';
import type { NativeConnection } from '@temporalio/worker';
import { isRefusal, reasonOf, STATUS, statusOf, within, type Finding } from './finding.js';

const DAY_SECONDS = 86_400;
/** Longer than the 2 seconds (10 on old servers) after which every part of a cluster has read its namespaces again */
const KNOWN_WITHIN_MS = 30_000;

/**
 * Creates the namespace when it is missing. The retention of one that is there is not changed: shortening it deletes histories, and
 * somebody has chosen it.
 */
export async function ensureNamespace(connection: NativeConnection, namespace: string, retentionDays: number): Promise<Finding> {
  const what = `namespace ${namespace}`;
  try {
    const found = await retentionOf(connection, namespace);
    if (found !== null) return compared(what, found, namespace, retentionDays);
    const created = await register(connection, namespace, retentionDays);
    const usable = await within(KNOWN_WITHIN_MS, () => isKnown(connection, namespace));
    if (!usable) throw new Error(`The server has made the namespace ${namespace}, but does not know it after ${KNOWN_WITHIN_MS / 1000} s`);
    return { what, state: created ? 'created' : 'as wanted', detail: `histories are kept for ${retentionDays} days` };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return {
      what,
      state: 'by hand',
      detail: `the server does not let us see or create it (${reasonOf(error)}). In Temporal Cloud create it in the console or with tcld, with ${retentionDays} days of retention, and give LEAKY_TEMPORAL_NAMESPACE its full name (name.account)`,
    };
  }
}

/** Seconds; null: there is no such namespace. */
async function retentionOf(connection: NativeConnection, namespace: string): Promise<number | null> {
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace });
    return Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
  } catch (error) {
    if (statusOf(error) === STATUS.notFound) return null;
    throw error;
  }
}

function compared(what: string, foundSeconds: number, namespace: string, retentionDays: number): Finding {
  if (foundSeconds === retentionDays * DAY_SECONDS) return { what, state: 'as wanted' };
  const change = `temporal operator namespace update --namespace ${namespace} --retention ${retentionDays}d`;
  const found = `${Number((foundSeconds / DAY_SECONDS).toFixed(2))} days`;
  return {
    what,
    state: 'differs',
    detail: `it keeps histories for ${found}, the configuration says ${retentionDays}. To change it: ${change}`,
  };
}

/** @returns false when somebody else was faster */
async function register(connection: NativeConnection, namespace: string, retentionDays: number): Promise<boolean> {
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      description: 'Leaky Tokens',
      workflowExecutionRetentionPeriod: msToTs(retentionDays * DAY_SECONDS * 1000),
    });
    return true;
  } catch (error) {
    if (statusOf(error) === STATUS.alreadyExists) return false;
    throw error;
  }
}

async function isKnown(connection: NativeConnection, namespace: string): Promise<boolean> {
  try {
    await connection.workflowService.countWorkflowExecutions({ namespace });
    return true;
  } catch (error) {
    if (statusOf(error) === STATUS.notFound) return false;
    throw error;
  }
}
