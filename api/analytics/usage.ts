import type { z } from 'zod';
import { usageAnswer, usageQuery } from '../../contracts/http/analytics.js';
import { BAD_QUERY, parseQuery, visibilityOf, type Route } from './query.js';

export const usage: Route = {
  operation: {
    method: 'get',
    path: '/api/v1/analytics/usage',
    summary: 'The newest consumption attempts at a provider, refusals included',
    tag: 'analytics',
    query: usageQuery,
    responses: { 200: { description: 'Newest first', schema: usageAnswer }, ...BAD_QUERY },
  },
  handle: (dependencies) => async (req, res) => {
    const { provider, limit } = parseQuery(usageQuery, req);
    const events = await dependencies.usage.recent(provider, await visibilityOf(dependencies.memberships, res), limit);
    const items = events.map(({ provider: name, timestamp, ...event }) => ({ key: { provider: name, timestamp }, ...event }));
    res.json({ provider, count: items.length, items } satisfies z.input<typeof usageAnswer>);
  },
};
