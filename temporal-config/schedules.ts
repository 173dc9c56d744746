import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type Client,
  type ScheduleDescription,
  type ScheduleOptions,
} from '@temporalio/client';
import { isDeepStrictEqual } from 'node:util';
import { TASK_QUEUES } from '../contracts/temporal.js';
import type { Finding } from './finding.js';
import { sealedWith } from './payload-codec.js';

export interface ScheduledWorkflow {
  scheduleId: string;
  workflowType: string;
  everyMs: number;
  args: unknown[];
}

/**
 * Creates each schedule, or brings its interval and arguments up to date; what an operator did by hand (a pause) stays.
 * @param activeKey of the payload codec: arguments that another key sealed, or none, are written anew, so that keys can retire
 */
export function ensureSchedules(client: Client, wanted: readonly ScheduledWorkflow[], activeKey: string | null = null): Promise<Finding[]> {
  return Promise.all(wanted.map((schedule) => ensure(client, schedule, activeKey)));
}

async function ensure(client: Client, wanted: ScheduledWorkflow, activeKey: string | null): Promise<Finding> {
  const what = `schedule ${wanted.scheduleId}`;
  const options = scheduleOptions(wanted);
  const handle = client.schedule.getHandle(wanted.scheduleId);
  const found = await describe(client, wanted.scheduleId);
  if (!found && (await create(client, options))) return { what, state: 'created' };
  if (found && isAsWanted(found, options, activeKey)) return { what, state: 'as wanted' };
  await handle.update((current) => ({ ...options, state: current.state }));
  return { what, state: 'updated' };
}

/** undefined: it is not there. */
async function describe(client: Client, scheduleId: string): Promise<ScheduleDescription | undefined> {
  try {
    return await client.schedule.getHandle(scheduleId).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}

/** @returns false when somebody else was faster */
async function create(client: Client, options: ScheduleOptions): Promise<boolean> {
  try {
    await client.schedule.create(options);
    return true;
  } catch (error) {
    if (error instanceof ScheduleAlreadyRunning) return false;
    throw error;
  }
}

function isAsWanted({ spec, action, policies, raw }: ScheduleDescription, wanted: ScheduleOptions, activeKey: string | null): boolean {
  const every = spec.intervals?.map((interval) => Number(interval.every)) ?? [];
  const wantedEvery = wanted.spec.intervals?.map((interval) => Number(interval.every)) ?? [];
  const { workflowType, taskQueue, args } = action;
  const { action: target, policies: limits } = wanted;
  const sealed = raw.schedule?.action?.startWorkflow?.input?.payloads?.map(sealedWith) ?? [];
  return (
    isDeepStrictEqual([every, workflowType, taskQueue, args ?? []], [wantedEvery, target.workflowType, target.taskQueue, target.args]) &&
    policies.overlap === limits?.overlap &&
    Number(policies.catchupWindow) === limits?.catchupWindow &&
    sealed.every((key) => key === activeKey)
  );
}

const CATCH_UP_MS = 60_000;

/** A run missed while nothing was up is made up for at most once: each run covers all that has gathered. */
function scheduleOptions({ scheduleId, workflowType, everyMs, args }: ScheduledWorkflow): ScheduleOptions {
  return {
    scheduleId,
    spec: { intervals: [{ every: everyMs }] },
    action: { type: 'startWorkflow', workflowType, workflowId: scheduleId, taskQueue: TASK_QUEUES.maintenance, args },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCH_UP_MS },
  };
}
