import { DeterminismViolationError } from '@temporalio/workflow';
import type { DataConverter } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import type { History } from '../adapters/temporal/history-json.js';
import { inPlainWords } from './replay-words.js';

export interface RecordedHistory {
  /** How the verdict names it */
  name: string;
  workflowId: string;
  history: History;
}

export interface Verdict {
  recording: RecordedHistory;
  ok: boolean;
  /** NONDETERMINISTIC: today's code does something else than the code that made the history */
  kind: 'REPLAYED' | 'NONDETERMINISTIC' | 'FAILED';
  /** In plain words; empty when it replayed */
  detail: string;
}

/**
 * Runs today's workflow code against recorded histories, one after the other: no server, no activity, no side effect.
 * @param codePath the bundle of the workflows, as the build makes it
 * @param dataConverter to read histories whose payloads are encrypted
 */
export async function* replayHistories(
  codePath: string,
  recorded: Iterable<RecordedHistory>,
  dataConverter?: DataConverter,
): AsyncGenerator<Verdict> {
  const fed: RecordedHistory[] = [];
  const feed = function* () {
    for (const recording of recorded) {
      fed.push(recording);
      yield recording;
    }
  };
  const options = { workflowBundle: { codePath }, ...(dataConverter && { dataConverter }) };
  for await (const { error } of Worker.runReplayHistories(options, feed())) {
    const recording = fed.shift();
    if (recording) yield { recording, ...judge(error) };
  }
}

function judge(error: Error | undefined): Omit<Verdict, 'recording'> {
  if (!error) return { ok: true, kind: 'REPLAYED', detail: '' };
  return {
    ok: false,
    kind: error instanceof DeterminismViolationError ? 'NONDETERMINISTIC' : 'FAILED',
    detail: inPlainWords(error.message),
  };
}
