import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client';
import { TASK_QUEUES } from '../contracts/temporal.js';

export interface ScheduledWorkflow {
  scheduleId: string;
  workflowType: string;
  everyMs: number;
  args: unknown[];
}

/** Creates each schedule, or brings its interval and arguments up to date; what an operator did by hand (a pause) stays. */
export async function ensureSchedules(client: Client, wanted: readonly ScheduledWorkflow[]): Promise<void> {
  await Promise.all(wanted.map((schedule) => ensure(client, schedule)));
}

async function ensure(client: Client, wanted: ScheduledWorkflow): Promise<void> {
  const options = scheduleOptions(wanted);
  try {
    await client.schedule.create(options);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(wanted.scheduleId).update((current) => ({ ...options, state: current.state }));
  }
}

/** A run missed while nothing was up is made up for at most once: each run covers all that has gathered. */
function scheduleOptions({ scheduleId, workflowType, everyMs, args }: ScheduledWorkflow): ScheduleOptions {
  return {
    scheduleId,
    spec: { intervals: [{ every: everyMs }] },
    action: { type: 'startWorkflow', workflowType, workflowId: scheduleId, taskQueue: TASK_QUEUES.maintenance, args },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
  };
}
