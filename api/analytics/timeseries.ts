import type { Response } from 'express';
import type { z } from 'zod';
import { timeseriesAnswer, timeseriesQuery } from '../../contracts/http/analytics.js';
import { ceilTo, floorTo } from '../../domain/usage.js';
import { callerOf, requireMember, requireSelf } from '../http/caller.js';
import type { SeriesBucket, TimeWindow } from './ports.js';
import { BAD_QUERY, parseQuery, visibilityOf, type AnalyticsDependencies, type Route } from './query.js';

export const timeseries: Route = {
  operation: {
    method: 'get',
    path: '/api/v1/analytics/timeseries',
    summary: 'Usage over time, in buckets for charts',
    tag: 'analytics',
    query: timeseriesQuery,
    responses: {
      200: { description: 'Every bucket that touches [from, to), in order, also the empty ones', schema: timeseriesAnswer },
      ...BAD_QUERY,
      403: { description: "Another user's events, or an organisation the caller is no member of" },
    },
  },
  handle: (dependencies) => async (req, res) => {
    const { from, to, step, ...filter } = parseQuery(timeseriesQuery, req);
    await requireAllowed(dependencies, res, filter);
    const visibility = await visibilityOf(dependencies.memberships, res);
    const window = { from: new Date(from), to: new Date(to) };
    const buckets = await dependencies.usage.series(filter, visibility, window, step);
    res.json({
      provider: filter.provider ?? null,
      userId: filter.userId ?? null,
      orgId: filter.orgId ?? null,
      tag: filter.tag ?? null,
      from: window.from.toISOString(),
      to: window.to.toISOString(),
      stepSeconds: step,
      buckets: filled(buckets, window, step),
    } satisfies z.input<typeof timeseriesAnswer>);
  },
};

/** Inside an organisation its members see each other's events; outside of one, a user is its own only subject. */
async function requireAllowed(
  { memberships }: AnalyticsDependencies,
  res: Response,
  filter: { userId?: string | undefined; orgId?: string | undefined },
): Promise<void> {
  const caller = callerOf(res);
  const orgId = filter.orgId ?? caller.keyOrgId;
  if (orgId) await requireMember(memberships, caller, orgId);
  else if (filter.userId !== undefined) requireSelf(caller, filter.userId);
}

function filled(buckets: readonly SeriesBucket[], window: TimeWindow, step: number) {
  const byStart = new Map(buckets.map((bucket) => [bucket.start.getTime(), bucket]));
  const first = floorTo(window.from.getTime(), step);
  const end = ceilTo(window.to.getTime(), step);
  return Array.from({ length: (end - first) / (step * 1_000) }, (_, index) => {
    const start = first + index * step * 1_000;
    const { events, allowedEvents, tokens } = byStart.get(start) ?? { events: 0, allowedEvents: 0, tokens: 0 };
    return { start: new Date(start).toISOString(), events, allowedEvents, deniedEvents: events - allowedEvents, tokens };
  });
}
