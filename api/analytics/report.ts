import type { z } from 'zod';
import { reportAnswer, reportQuery } from '../../contracts/http/analytics.js';
import { BAD_QUERY, parseQuery, visibilityOf, type Route } from './query.js';

export const report: Route = {
  operation: {
    method: 'get',
    path: '/api/v1/analytics/report',
    summary: 'Exact totals of the last minutes and the users with most tokens',
    tag: 'analytics',
    query: reportQuery,
    responses: { 200: { description: 'Counts of [windowStart, windowEnd)', schema: reportAnswer }, ...BAD_QUERY },
  },
  handle: (dependencies) => async (req, res) => {
    const { provider, windowMinutes, limit } = parseQuery(reportQuery, req);
    const to = dependencies.clock();
    const from = new Date(to.getTime() - windowMinutes * 60_000);
    const visibility = await visibilityOf(dependencies.memberships, res);
    const summary = await dependencies.usage.summarise(provider, visibility, { from, to }, limit);
    res.json({
      provider,
      windowStart: from.toISOString(),
      windowEnd: to.toISOString(),
      totalEvents: summary.events,
      allowedEvents: summary.allowedEvents,
      deniedEvents: summary.events - summary.allowedEvents,
      totalTokens: summary.tokens,
      averageTokens: summary.allowedEvents === 0 ? 0 : summary.tokens / summary.allowedEvents,
      uniqueUsers: summary.uniqueUsers,
      sampleLimit: limit,
      topUsers: summary.topUsers,
    } satisfies z.input<typeof reportAnswer>);
  },
};
