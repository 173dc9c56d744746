import { z } from 'zod';
import { count, fraction, json, type Env } from './fields.js';

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
  LEAKY_RATE_LIMIT_KEY: z
    .enum(['api-key', 'user', 'ip'])
    .default('user')
    .describe(
      'What counts as one caller. user: all keys and logins of a user together, and a key bound to an organisation for that, too; api-key: a limit for each key below that; ip: the address',
    ),
  LEAKY_RATE_LIMIT_KEY_REQUESTS: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Requests of one API key in the window, with LEAKY_RATE_LIMIT_KEY=api-key; unset: as many as of its user'),
  LEAKY_RATE_LIMIT_PAGES: count(3_000).describe(
    'Requests of one address (IPv6: /64) in the window for health, metrics, documents and fallbacks of one service',
  ),
  LEAKY_RATE_LIMIT_EXEMPT: paths.describe('Comma-separated paths that are never limited'),
  LEAKY_GATEWAY_ROUTES: json(routeRules, {}).describe('JSON: header and path transformations per route'),
  LEAKY_SERVICE_TIMEOUT_MS: count(5_000).describe('How long the gateway waits for a service; the time for the provider comes on top'),
  LEAKY_GATEWAY_BULKHEAD: count(100).describe('Calls in flight to one service that wait for no provider; more wait'),
  LEAKY_GATEWAY_BULKHEAD_SHARE: fraction(0.25).describe('The part of these places that one caller may hold'),
  LEAKY_GATEWAY_BULKHEAD_WAIT_MS: count(500).describe('How long a call waits for a place before 503'),
  LEAKY_GATEWAY_PROVIDER_CALLS: count(5_000).describe('Calls in flight that wait for a provider, in one process; more get 503'),
  LEAKY_GATEWAY_PROVIDER_CALLS_SHARE: fraction(0.125).describe('The part of these places that one caller may hold'),
  LEAKY_GATEWAY_PROVING: count(256).describe('Requests whose credentials are being checked for the first time; more wait'),
  LEAKY_GATEWAY_PROVING_SHARE: fraction(0.25).describe('The part of these places that one address (IPv6: /64) may hold'),
};

export const shape = (env: Env<typeof schema>) => ({
  gateway: {
    rateLimit: { requests: env.LEAKY_RATE_LIMIT_REQUESTS, windowSeconds: env.LEAKY_RATE_LIMIT_WINDOW_SECONDS },
    rateLimitOverrides: env.LEAKY_RATE_LIMIT_OVERRIDES,
    rateLimitKey: env.LEAKY_RATE_LIMIT_KEY,
    rateLimitKeyRequests: env.LEAKY_RATE_LIMIT_KEY_REQUESTS,
    rateLimitPages: env.LEAKY_RATE_LIMIT_PAGES,
    rateLimitExempt: env.LEAKY_RATE_LIMIT_EXEMPT,
    routeRules: env.LEAKY_GATEWAY_ROUTES,
    serviceTimeoutMs: env.LEAKY_SERVICE_TIMEOUT_MS,
    bulkhead: env.LEAKY_GATEWAY_BULKHEAD,
    bulkheadShare: env.LEAKY_GATEWAY_BULKHEAD_SHARE,
    bulkheadWaitMs: env.LEAKY_GATEWAY_BULKHEAD_WAIT_MS,
    providerCalls: env.LEAKY_GATEWAY_PROVIDER_CALLS,
    providerCallsShare: env.LEAKY_GATEWAY_PROVIDER_CALLS_SHARE,
    proving: env.LEAKY_GATEWAY_PROVING,
    provingShare: env.LEAKY_GATEWAY_PROVING_SHARE,
  },
});
