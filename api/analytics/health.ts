import { Problem } from '../../contracts/errors.js';
import { healthAnswer } from '../../contracts/http/analytics.js';
import type { Route } from './query.js';

export const health: Route = {
  operation: {
    method: 'get',
    path: '/api/v1/analytics/health',
    summary: 'Whether the service and its store answer',
    tag: 'analytics',
    public: true,
    responses: { 200: { description: 'Both do', schema: healthAnswer }, 503: { description: 'The usage store does not answer' } },
  },
  handle: (dependencies) => async (_req, res) => {
    try {
      await dependencies.usage.ping();
    } catch (cause) {
      throw new Problem('SERVICE_UNAVAILABLE', 'The usage store does not answer', { retryAfterSeconds: 5 }, { cause });
    }
    res.json({ service: 'analytics-service', status: 'ok', timestamp: dependencies.clock().toISOString() });
  },
};
