import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { OpenWorkflows } from '../../activities/reconciliation-ports.js';

export function createOpenWorkflows(client: Client): OpenWorkflows {
  return {
    async isOpen(workflowId) {
      try {
        return (await client.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    },
  };
}
