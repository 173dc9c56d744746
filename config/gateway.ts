import { z } from 'zod';
import { count, json, type Env } from './fields.js';

/** Paths are compared in lower case. Whether a path is one of a route is known to compose/routes.ts. */
const routePath = z
  .string()
  .regex(/^\/[^\s?#]*$/, 'a path that begins with /')
  .toLowerCase();
const headerName = z.string().regex(/^[!#$%&'*+.^`|~\w-]+$/, 'not the name of a header');
const headerValue = z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'not the value of a header');
// Strict: a misspelt member would be a rule that nobody applies.
const limitOverrides = z.record(routePath, z.strictObject({ requests: z.int().positive(), windowSeconds: z.int().positive() }));
const routeRules = z.record(
  routePath,
  z.strictObject({
    addRequestHeaders: z.record(headerName, headerValue).default({}),
    removeRequestHeaders: z.array(headerName).default([]),
    addResponseHeaders: z.record(headerName, headerValue).default({}),
    removeResponseHeaders: z.array(headerName).default([]),
    rewritePath: z.strictObject({ from: z.string().startsWith('/'), to: z.string().startsWith('/') }).optional(),
  }),
);
const paths = z
  .string()
  .default('')
  .transform((text, context) => {
    const found = text
      .split(',')
      .map((item) => item.trim().toLowerCase())
      .filter(Boolean);
    for (const item of found)
      if (!item.startsWith('/')) context.addIssue({ code: 'custom', message: `"${item}" is no path: it begins with /` });
    return found;
  });

export const schema = {
  LEAKY_RATE_LIMIT_REQUESTS: count(120).describe('Requests of one caller in the window before 429'),
  LEAKY_RATE_LIMIT_WINDOW_SECONDS: count(60).describe('The sliding window'),
  LEAKY_RATE_LIMIT_OVERRIDES: json(limitOverrides, {}).describe('JSON: {"/api/v1/tokens/consume": {"requests": 600, "windowSeconds": 60}}'),
  LEAKY_RATE_LIMIT_KEY: z.enum(['api-key', 'user', 'ip']).default('api-key').describe('What counts as one caller'),
  LEAKY_RATE_LIMIT_EXEMPT: paths.describe('Comma-separated paths that are never limited'),
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
