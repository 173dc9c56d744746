import type { z } from 'zod';
import { anomaliesAnswer, anomaliesQuery } from '../../contracts/http/analytics.js';
import { anomalySpans, judgeAnomaly, type Span } from '../../domain/usage.js';
import { BAD_QUERY, parseQuery, visibilityOf, type Route } from './query.js';

export const anomalies: Route = {
  operation: {
    method: 'get',
    path: '/api/v1/analytics/anomalies',
    summary: 'Whether the last window used far more tokens than the windows before it',
    tag: 'analytics',
    query: anomaliesQuery,
    responses: { 200: { description: 'The verdict and its figures', schema: anomaliesAnswer }, ...BAD_QUERY },
  },
  handle: (dependencies) => async (req, res) => {
    const query = parseQuery(anomaliesQuery, req);
    const spans = anomalySpans(dependencies.clock().getTime(), query.windowMinutes, query.baselineWindows);
    const visibility = await visibilityOf(dependencies.memberships, res);
    const totals = await dependencies.usage.totals(query.provider, visibility, [window(spans.current), window(spans.baseline)]);
    const [current, baseline] = [totals[0]?.tokens ?? 0, totals[1]?.tokens ?? 0];
    const verdict = judgeAnomaly(current, baseline, query.baselineWindows, query.thresholdMultiplier);
    res.json({
      provider: query.provider,
      currentWindowStart: new Date(spans.current.from).toISOString(),
      currentWindowEnd: new Date(spans.current.to).toISOString(),
      baselineWindows: query.baselineWindows,
      currentTokens: current,
      ...verdict,
      threshold: query.thresholdMultiplier,
      sampleLimit: query.limit,
    } satisfies z.input<typeof anomaliesAnswer>);
  },
};

const window = (span: Span) => ({ from: new Date(span.from), to: new Date(span.to) });
