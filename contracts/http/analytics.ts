import { Duration } from 'luxon';
import { instant, providerName, says, text, timestamp, uuid, wholeInQuery, z } from './common.js';

/** 90 days: what is kept at most. */
const MAX_WINDOW_MINUTES = 129_600;
export const MAX_BUCKETS = 2_000;
const MAX_STEP_SECONDS = 31 * 86_400;

const MULTIPLIER = says('must be a number above 0, up to 1,000,000');

const window = { windowMinutes: wholeInQuery(1, MAX_WINDOW_MINUTES, 60), limit: wholeInQuery(1, 10_000, 1_000) };

export const usageQuery = z.object({ provider: providerName, limit: wholeInQuery(1, 200, 20) });

export const reportQuery = z.object({ provider: providerName, ...window });

export const anomaliesQuery = z
  .object({
    provider: providerName,
    ...window,
    baselineWindows: wholeInQuery(1, 1_000, 3),
    thresholdMultiplier: z.coerce
      .number({ error: MULTIPLIER })
      .positive({ error: MULTIPLIER, abort: true })
      .max(1_000_000, { error: MULTIPLIER })
      .default(2)
      .openapi({ type: 'number', default: 2, example: 2 }),
  })
  .refine((query) => query.windowMinutes * (query.baselineWindows + 1) <= MAX_WINDOW_MINUTES, {
    path: ['baselineWindows'],
    message: 'the window and its baseline windows together may span at most 90 days, which is what is kept',
  });

// Without years, months and weeks: those have no fixed length, or no use as a bucket.
const ISO_DURATION = /^P(\d{1,9}D)?(T(\d{1,9}H)?(\d{1,9}M)?(\d{1,9}S)?)?$/;

/** `90`, `90s`, `5m`, `1h`, `1d` or an ISO-8601 duration; answers seconds, NaN when it is none of these. */
export function stepSeconds(text: string): number {
  const short = /^(\d{1,9})([smhd]?)$/.exec(text);
  if (short) return Number(short[1]) * { s: 1, m: 60, h: 3_600, d: 86_400 }[(short[2] || 's') as 's' | 'm' | 'h' | 'd'];
  return ISO_DURATION.test(text) ? Duration.fromISO(text).as('seconds') : NaN;
}

const isStep = (seconds: number) =>
  Number.isInteger(seconds) && seconds > 0 && seconds <= MAX_STEP_SECONDS && (seconds % 60 === 0 || 60 % seconds === 0);

const STEP = 'must be a divisor of 60 seconds or whole minutes, up to 31 days; such as 15, 30s, 5m, 1h, 1d, PT1H';

const step = text({ max: 40, says: STEP, always: true }).transform(stepSeconds).refine(isStep, { error: STEP, abort: true }).openapi({
  type: 'string',
  example: '5m',
  description: 'Width of a bucket: seconds (`300`), `30s`, `5m`, `1h`, `1d` or an ISO-8601 duration. Divides a minute or is whole minutes.',
});

const time = instant('2000-01-01', '2199-12-31T23:59:59.999Z');

const tag = text({ max: 200 });

/** Buckets that a chart of [from, to) has: they start at multiples of the step since the epoch. */
const bucketCount = (from: string, to: string, seconds: number) =>
  Math.ceil(Date.parse(to) / (seconds * 1_000)) - Math.floor(Date.parse(from) / (seconds * 1_000));

export const timeseriesQuery = z
  .object({
    provider: providerName.optional(),
    userId: uuid.optional(),
    orgId: uuid.optional(),
    tag: tag.optional(),
    from: time,
    to: time,
    step,
  })
  .refine((query) => Date.parse(query.from) < Date.parse(query.to), { path: ['to'], message: 'must be later than from' })
  .refine((query) => bucketCount(query.from, query.to, query.step) <= MAX_BUCKETS, {
    path: ['step'],
    message: `would make more than ${MAX_BUCKETS} buckets; choose a larger step`,
  });

const tokens = z.int().nonnegative();
const total = z.int().nonnegative();

export const healthAnswer = z.object({ service: z.literal('analytics-service'), status: z.literal('ok'), timestamp });

export const usageAnswer = z
  .object({
    provider: providerName,
    count: total.openapi({ description: 'Number of items in this answer' }),
    items: z.array(
      z.object({
        key: z.object({ provider: providerName, timestamp }),
        id: uuid.openapi({ description: 'The consumption id' }),
        userId: uuid,
        orgId: uuid.nullable(),
        tokens: tokens.openapi({ description: 'Charged when allowed, asked for when not' }),
        allowed: z.boolean(),
        reason: z.string().nullable().openapi({ description: 'Error code when not allowed' }),
        requestId: z.string(),
        tag: z.string().nullable(),
      }),
    ),
  })
  .openapi('Usage');

export const reportAnswer = z
  .object({
    provider: providerName,
    windowStart: timestamp.openapi({ description: 'Inclusive' }),
    windowEnd: timestamp.openapi({ description: 'Exclusive' }),
    totalEvents: total,
    allowedEvents: total,
    deniedEvents: total,
    totalTokens: tokens.openapi({ description: 'Charged tokens: of allowed events' }),
    averageTokens: z.number().openapi({ description: 'Charged tokens per allowed event; 0 when there is none' }),
    uniqueUsers: total,
    sampleLimit: total.openapi({ description: 'The limit asked for: it bounds topUsers, never a total' }),
    topUsers: z.array(z.object({ userId: uuid, totalTokens: tokens, events: total })),
  })
  .openapi('UsageReport');

export const anomaliesAnswer = z
  .object({
    provider: providerName,
    currentWindowStart: timestamp,
    currentWindowEnd: timestamp,
    baselineWindows: total,
    currentTokens: tokens,
    baselineAverage: z.number().openapi({ description: 'Charged tokens per baseline window; windows without events count as 0' }),
    ratio: z.number().nullable().openapi({ description: 'currentTokens / baselineAverage; null when the baseline is empty' }),
    threshold: z.number().openapi({ description: 'The thresholdMultiplier asked for: an anomaly is a ratio at or above it' }),
    anomaly: z.boolean(),
    sampleLimit: total,
  })
  .openapi('UsageAnomalies');

export const timeseriesAnswer = z
  .object({
    provider: providerName.nullable(),
    userId: uuid.nullable(),
    orgId: uuid.nullable(),
    tag: z.string().nullable(),
    from: timestamp,
    to: timestamp,
    stepSeconds: total,
    buckets: z.array(
      z.object({
        start: timestamp.openapi({ description: 'A multiple of the step since the epoch; only events in [from, to) count' }),
        events: total,
        allowedEvents: total,
        deniedEvents: total,
        tokens: tokens.openapi({ description: 'Charged tokens' }),
      }),
    ),
  })
  .openapi('UsageTimeseries');
