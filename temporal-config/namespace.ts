import { msToTs } from '@temporalio/common/lib/time.js';
import type { NativeConnection } from '@temporalio/worker';
import { ConstantBackoff, handleWhen, retry } from 'cockatiel';

const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const DAY_MS = 86_400_000;

/** The server's hosts read their list of namespaces every ten seconds unless configured otherwise; until then a new one is unknown. */
const untilKnown = retry(
  handleWhen((error) => codeOf(error) === NOT_FOUND),
  { maxAttempts: 120, backoff: new ConstantBackoff(250) },
);

/** Makes the namespace when it is missing and waits until it can be used; two processes may do it at once. Resolves with whether it was missing. */
export async function ensureNamespace(connection: NativeConnection, namespace: string, retentionDays: number): Promise<boolean> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return false;
  } catch (error) {
    if (codeOf(error) !== NOT_FOUND) throw error;
  }
  const workflowExecutionRetentionPeriod = msToTs(retentionDays * DAY_MS);
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod }).catch((error: unknown) => {
    if (codeOf(error) !== ALREADY_EXISTS) throw error;
  });
  await untilKnown.execute(() => connection.operatorService.listSearchAttributes({ namespace }));
  return true;
}

const codeOf = (error: unknown) => (error as { code?: number }).code;
