import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import proto from '@temporalio/proto';
import { readHistory, type History } from '../../adapters/temporal/history-json.js';
import type { RecordedHistory } from '../../workers/replay.js';
import { historiesFolder } from '../support/recording.js';

const { EventType } = proto.temporal.api.enums.v1;

export const eventTypesOf = ({ events }: History): string[] =>
  (events ?? []).map(({ eventType }) => String(EventType[eventType ?? 0]).replace('EVENT_TYPE_', ''));

/** Names of the local activities that the history has results of, in order. They are in the details of its markers. */
export function localActivitiesOf({ events }: History): string[] {
  return (events ?? []).flatMap(({ markerRecordedEventAttributes: marker }) => {
    const data = marker?.markerName === 'core_local_activity' ? marker.details?.['data']?.payloads?.[0]?.data : null;
    return data ? [(JSON.parse(Buffer.from(data).toString()) as { activity_type: string }).activity_type] : [];
  });
}

/** Names of the activities that the history schedules, in order. */
export const activitiesOf = ({ events }: History): string[] =>
  (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name ?? []);

/** What the history says of its timers, in order; not readable when payloads are encrypted. */
export const timerSummariesOf = ({ events }: History): string[] =>
  (events ?? []).flatMap(({ eventType, userMetadata }) => {
    const data = eventType === EventType.EVENT_TYPE_TIMER_STARTED ? userMetadata?.summary?.data : null;
    return data ? [JSON.parse(Buffer.from(data).toString()) as string] : [];
  });

/** The committed recordings. */
export function recordings(): RecordedHistory[] {
  return readdirSync(historiesFolder).map((file) => ({
    name: file.replace('.json', ''),
    workflowId: file,
    history: readHistory(readFileSync(path.join(historiesFolder, file), 'utf8')),
  }));
}

/** The same history as if a workflow of another name had made it. */
export function renamed({ events }: History, workflowType: string): History {
  const [first, ...others] = events ?? [];
  const started = { ...first?.workflowExecutionStartedEventAttributes, workflowType: { name: workflowType } };
  return { events: [{ ...first, workflowExecutionStartedEventAttributes: started }, ...others] };
}
