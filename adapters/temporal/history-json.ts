import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { temporal } from '@temporalio/proto';

export type History = temporal.api.history.v1.IHistory;

/** Thrown with a sentence that says what is wrong with the text. */
export class HistoryFormatError extends Error {
  override readonly name = 'HistoryFormatError';
}

/**
 * Reads a history as `temporal workflow show --output json`, the Web UI's download and `writeHistory` write it.
 * @throws HistoryFormatError when it is none of these, or not all of a history
 */
export function readHistory(text: string): History {
  const history = decode(parse(text));
  const ids = (history.events ?? []).map((event) => Number(event.eventId));
  if (ids.length === 0) throw new HistoryFormatError('the history has no events');
  if (ids.some((id, index) => id !== index + 1)) {
    throw new HistoryFormatError('the events are not numbered 1, 2, 3 …: part of the history is missing, or it is in reverse order');
  }
  return history;
}

export const writeHistory = (history: History): string => `${historyToJSON(history)}\n`;

export interface HistoryDescription {
  workflowType: string;
  /** null in the histories of old servers, which do not say it */
  workflowId: string | null;
  events: number;
  /** Completed workflow tasks: the points at which a replay compares */
  decisions: number;
}

export function describeHistory(history: History): HistoryDescription {
  const started = history.events?.[0]?.workflowExecutionStartedEventAttributes;
  return {
    workflowType: started?.workflowType?.name ?? 'unknown',
    workflowId: started?.workflowId || null,
    events: history.events?.length ?? 0,
    decisions: history.events?.filter((event) => event.workflowTaskCompletedEventAttributes).length ?? 0,
  };
}

function parse(text: string): { events: unknown[] } {
  let json: unknown;
  try {
    json = JSON.parse(text, refuseDecoded);
  } catch (error) {
    if (error instanceof HistoryFormatError) throw error;
    throw new HistoryFormatError(`it is not JSON (${reason(error)})`, { cause: error });
  }
  const events = eventsIn(json) ?? eventsIn((json as { history?: unknown } | null)?.history);
  if (!events) throw new HistoryFormatError('it is not a workflow history: it has no list of events');
  return { events };
}

/** Bare lists are among the files that the Web UI reads; the server's HTTP API wraps the history once more. */
function eventsIn(json: unknown): unknown[] | null {
  const events: unknown = Array.isArray(json) ? json : (json as { events?: unknown } | null | undefined)?.events;
  return Array.isArray(events) ? events : null;
}

/** Arguments and results that were decoded for reading can't be told from unknown fields later: a replay would silently miss them. */
function refuseDecoded(key: string, value: unknown): unknown {
  const decoded = ['input', 'result', 'payloads'].includes(key) && Array.isArray(value) && !value.every(isPayload);
  if (decoded) throw new HistoryFormatError('its payloads have been decoded for reading: export it again with the payloads as they are');
  return value;
}

const isPayload = (value: unknown): boolean => typeof (value as { metadata?: unknown } | null)?.metadata === 'object';

function decode(json: { events: unknown[] }): History {
  try {
    return historyFromJSON(json);
  } catch (error) {
    throw new HistoryFormatError(`it is not a workflow history as Temporal exports it (${reason(error)})`, { cause: error });
  }
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));
