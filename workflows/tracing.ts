import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { proxySinks, workflowInfo, type Sinks, type WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { TRACE_HEADER, type WorkflowSpan } from '../contracts/temporal.js';

interface TraceSinks extends Sinks {
  traces: { finished(span: WorkflowSpan): void };
}

const { traces } = proxySinks<TraceSinks>();

/**
 * Hands the trace of whoever started the workflow on to its steps. Makes no commands and no decisions, and without the header it
 * adds nothing to the order in which things happen, so histories with and without it replay.
 */
export const interceptors: WorkflowInterceptorsFactory = () => {
  let handedOn: Headers | null = null;
  const withTrace = <Input extends { headers: Headers }>(input: Input): Input =>
    handedOn ? { ...input, headers: { ...input.headers, ...handedOn } } : input;
  return {
    inbound: [
      {
        execute(input, next) {
          const parent = traceOf(input.headers);
          if (parent === null) return next(input);
          const [version, traceId, , flags] = parent.split('-');
          // Half of the run id: known wherever the run goes on, and no two runs share it.
          const spanId = workflowInfo().runId.replaceAll('-', '').slice(16);
          handedOn = { [TRACE_HEADER]: defaultPayloadConverter.toPayload([version, traceId, spanId, flags].join('-')) };
          const startedAt = Date.now();
          const finish = (failed: boolean) => {
            if (!workflowInfo().unsafe.isReplaying) traces.finished({ parent, spanId, startedAt, endedAt: Date.now(), failed });
          };
          return next(input).then(
            (result) => {
              finish(false);
              return result;
            },
            (error: unknown) => {
              finish(!(error instanceof Error && error.name === 'ContinueAsNew'));
              throw error;
            },
          );
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => next(withTrace(input)),
        scheduleLocalActivity: (input, next) => next(withTrace(input)),
      },
    ],
  };
};

function traceOf(headers: Headers): string | null {
  const payload = headers[TRACE_HEADER];
  return payload ? defaultPayloadConverter.fromPayload<string>(payload) : null;
}
