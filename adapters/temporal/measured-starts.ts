import { WorkflowExecutionAlreadyStartedError, type WorkflowClientInterceptor } from '@temporalio/client';
import { metrics } from '../../telemetry/metrics.js';

/** How long the engine takes to take a workflow. That it has it already is an answer and no failure. */
export const measuredStarts: WorkflowClientInterceptor = {
  async startWithDetails(input, next) {
    const startedAt = performance.now();
    let result = 'taken';
    try {
      return await next(input);
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) result = 'failed';
      throw error;
    } finally {
      metrics.workflowStarts.observe((performance.now() - startedAt) / 1000, input.workflowType, result);
    }
  },
};
