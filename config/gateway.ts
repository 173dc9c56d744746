import { z } from 'zod';
import { count, json, list, type Env } from './fields.js';

const limitOverrides = z.record(z.string(), z.object({ requests: z.int().positive(), windowSeconds: z.int().positive() }));
const routeRules = z.record(
  z.string(),
  z.object({
    addRequestHeaders: z.record(z.string(), z.string()).default({}),
    removeRequestHeaders: z.array(z.string()).default([]),
    addResponseHeaders: z.record(z.string(), z.string()).default({}),
    removeResponseHeaders: z.array(z.string()).default([]),
    rewritePath: z.object({ from: z.string(), to: z.string() }).optional(),
  }),
);

export const schema = {
  LEAKY_RATE_LIMIT_REQUESTS: count(120).describe('Requests of one caller in the window before 429'),
  LEAKY_RATE_LIMIT_WINDOW_SECONDS: count(60).describe('The sliding window'),
  LEAKY_RATE_LIMIT_OVERRIDES: json(limitOverrides, {}).describe('JSON: {"/api/v1/tokens/consume": {"requests": 600, "windowSeconds": 60}}'),
  LEAKY_RATE_LIMIT_KEY: z.enum(['api-key', 'user', 'ip']).default('api-key').describe('What counts as one caller'),
  LEAKY_RATE_LIMIT_EXEMPT: list().describe('Comma-separated paths that are never limited'),
  LEAKY_GATEWAY_ROUTES: json(routeRules, {}).describe('JSON: header and path transformations per route'),
  LEAKY_SERVICE_TIMEOUT_MS: count(5_000).describe('How long the gateway waits for a service; the time for the provider comes on top'),
  LEAKY_GATEWAY_BULKHEAD: count(100).describe('Calls in flight to one service; more wait'),
  LEAKY_GATEWAY_BULKHEAD_WAIT_MS: count(500).describe('How long a call waits for a place before 503'),
};

export const shape = (env: Env<typeof schema>) => ({
  gateway: {
    rateLimit: { requests: env.LEAKY_RATE_LIMIT_REQUESTS, windowSeconds: env.LEAKY_RATE_LIMIT_WINDOW_SECONDS },
    rateLimitOverrides: env.LEAKY_RATE_LIMIT_OVERRIDES,
    rateLimitKey: env.LEAKY_RATE_LIMIT_KEY,
    rateLimitExempt: env.LEAKY_RATE_LIMIT_EXEMPT,
    routeRules: env.LEAKY_GATEWAY_ROUTES,
    serviceTimeoutMs: env.LEAKY_SERVICE_TIMEOUT_MS,
    bulkhead: env.LEAKY_GATEWAY_BULKHEAD,
    bulkheadWaitMs: env.LEAKY_GATEWAY_BULKHEAD_WAIT_MS,
  },
});
