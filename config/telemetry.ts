import { z } from 'zod';
import { flag, secret, type Env } from './fields.js';
import { baseUrl } from './network.js';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const headers = z
  .string()
  .regex(/^(?:[\w-]+=[^,]+(?:,|$))*$/, 'name=value, comma-separated')
  .default('')
  .transform((text) =>
    Object.fromEntries(
      text
        .split(',')
        .filter(Boolean)
        .map((pair) => pair.split(/=(.*)/s, 2) as [string, string]),
    ),
  );

export const schema = {
  LEAKY_LOG_LEVEL: z.enum(LEVELS).default('info').describe('Lines below it are not written'),
  LEAKY_ACCESS_LOG: z.enum(['off', 'trace', 'debug', 'info']).default('off').describe('Level of the one line for each request'),
  LEAKY_METRICS_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe('Serves /metrics of the process there and nowhere else; unset: on the port of each service'),
  LEAKY_ENGINE_METRICS: flag(true).describe("The Temporal SDK's own metrics as part of /metrics"),
  LEAKY_OTLP_ENDPOINT: baseUrl()
    .optional()
    .describe('Base URL of an OpenTelemetry collector (OTLP over HTTP, usually port 4318). Unset: no traces'),
  LEAKY_OTLP_HEADERS: secret(headers).describe('Sent to the collector: name=value, comma-separated; for logins'),
  LEAKY_TRACE_RATIO: z.coerce.number().min(0).max(1).default(1).describe('Share of the requests that are traced, decided where they enter'),
  LEAKY_TRACE_CALLERS: flag(true).describe("Whether the gateway goes on with its callers' traces; off: their traceparent is ignored"),
};

export const shape = (env: Env<typeof schema>) => ({
  logLevel: env.LEAKY_LOG_LEVEL,
  telemetry: {
    accessLog: env.LEAKY_ACCESS_LOG === 'off' ? null : env.LEAKY_ACCESS_LOG,
    metricsPort: env.LEAKY_METRICS_PORT,
    engineMetrics: env.LEAKY_ENGINE_METRICS,
    otlpEndpoint: env.LEAKY_OTLP_ENDPOINT,
    otlpHeaders: env.LEAKY_OTLP_HEADERS,
    traceRatio: env.LEAKY_TRACE_RATIO,
    traceCallers: env.LEAKY_TRACE_CALLERS,
  },
});
