import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import type { ActivityInterceptorsFactory, InjectedSinks } from '@temporalio/worker';
import { TRACE_HEADER, type WorkflowSpan } from '../../contracts/temporal.js';
import { activeTracer, traceHeaders, traced } from '../../telemetry/tracing.js';

/** Gives a workflow the trace of who starts it. One that is not sampled is not handed on: the workflow is then like any other. */
export const tracedStarts: WorkflowClientInterceptor = {
  startWithDetails(input, next) {
    const options = {
      kind: 'producer',
      attributes: { 'temporal.workflow.type': input.workflowType, 'temporal.workflow.id': input.options.workflowId },
    } as const;
    return traced(`start ${input.workflowType}`, options, () => {
      const { traceparent } = traceHeaders();
      if (!traceparent?.endsWith('01')) return next(input);
      return next({ ...input, headers: { ...input.headers, [TRACE_HEADER]: defaultPayloadConverter.toPayload(traceparent) } });
    });
  },
};

/** An activity goes on with the trace of its workflow. */
export const tracedActivities: ActivityInterceptorsFactory = ({ info }) => ({
  inbound: {
    execute(input, next) {
      const tracer = activeTracer();
      const traceparent = tracer && carriedBy(input.headers);
      if (!traceparent) return next(input);
      const attributes = {
        'temporal.activity.type': info.activityType,
        'temporal.activity.attempt': info.attempt,
        'temporal.activity.local': info.isLocal,
        'temporal.workflow.id': info.workflowExecution?.workflowId ?? '',
        'temporal.workflow.run_id': info.workflowExecution?.runId ?? '',
      };
      return tracer.continued(info.activityType, [{ traceparent }], { attributes }, () => next(input));
    },
  },
});

/** There in every worker: it may take over a workflow that was started where traces are on. */
export const traceSinks: InjectedSinks<{ traces: { finished(span: WorkflowSpan): void } }> = {
  traces: {
    finished: {
      fn({ workflowType, workflowId, runId }, span) {
        activeTracer()?.finished({
          ...span,
          name: workflowType,
          attributes: { 'temporal.workflow.type': workflowType, 'temporal.workflow.id': workflowId, 'temporal.workflow.run_id': runId },
        });
      },
    },
  },
};

function carriedBy(headers: Headers): string | null {
  const payload = headers[TRACE_HEADER];
  return payload ? defaultPayloadConverter.fromPayload<string>(payload) : null;
}
