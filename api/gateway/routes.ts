import { Problem } from '../../contracts/errors.js';
import type { ServiceName } from './ports.js';

/** Where a path goes. Prefixes match whole segments; the longest wins. */
export interface Route {
  prefix: string;
  service: ServiceName;
}

export const ROUTES: readonly Route[] = [
  { prefix: '/api/v1/auth', service: 'auth' },
  { prefix: '/oauth2', service: 'auth' },
  { prefix: '/api/v1/tokens', service: 'tokens' },
  { prefix: '/api/v1/analytics', service: 'analytics' },
  { prefix: '/v1', service: 'tokens' },
];

/** Routes anyone may call. `keepApiKey`: the service itself reads the key, so it is not exchanged for a token. */
const PUBLIC: Record<string, { method: string; keepApiKey?: boolean }> = {
  '/api/v1/auth/register': { method: 'POST' },
  '/api/v1/auth/login': { method: 'POST' },
  '/api/v1/auth/api-keys/validate': { method: 'GET', keepApiKey: true },
  '/oauth2/jwks': { method: 'GET' },
  '/api/v1/tokens/status': { method: 'GET' },
  '/api/v1/tokens/prices': { method: 'GET' },
  '/api/v1/analytics/health': { method: 'GET' },
};

/** Between services only: the gateway exchanges keys itself. */
const INTERNAL = ['/api/v1/auth/api-keys/exchange'];

/** Routes whose answer waits for a provider: its time-outs, attempts and backoffs come on top of the service's own limit. */
const WAITS_FOR_PROVIDER = ['/api/v1/tokens/consume', '/api/v1/tokens/purchase', '/v1/chat/completions'];

/** True when `path` is `prefix` or lies below it. */
export const isUnder = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length || prefix.endsWith('/') || path[prefix.length] === '/');

/** The entry with the longest prefix that covers the path. */
export function longestPrefix<T>(entries: readonly (readonly [prefix: string, value: T])[], path: string): readonly [string, T] | null {
  let best: readonly [string, T] | null = null;
  for (const entry of entries) {
    if (isUnder(path, entry[0]) && (best === null || entry[0].length > best[0].length)) best = entry;
  }
  return best;
}

export function routeOf(path: string): Route | null {
  if (INTERNAL.some((prefix) => isUnder(path, prefix))) return null;
  return ROUTES.find((route) => isUnder(path, route.prefix)) ?? null;
}

export function publicRouteOf(method: string, path: string): { keepApiKey: boolean } | null {
  const entry = Object.hasOwn(PUBLIC, path) ? PUBLIC[path] : undefined;
  if (!entry || (entry.method !== method && !(entry.method === 'GET' && method === 'HEAD'))) return null;
  return { keepApiKey: entry.keepApiKey === true };
}

export const waitsForProvider = (method: string, path: string): boolean =>
  method === 'POST' && WAITS_FOR_PROVIDER.some((prefix) => isUnder(path, prefix));

// An encoded slash, backslash, dot or null byte; a path parameter on a dot segment; a dot segment; an empty segment.
const AMBIGUOUS = /%2f|%5c|%2e|%00|[\\\x00-\x20\x7f]|\/\.{1,2};|\/\.{1,2}(?:\/|$)|\/\//i;
const BROKEN_ESCAPE = /%(?![0-9a-f]{2})/i;

/**
 * The path of a request target. Gateway and service must never read one path as two different routes, so every spelling
 * that some parser would normalise is refused rather than repaired.
 * @throws Problem INVALID_REQUEST
 */
export function safePath(target: string): string {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (!path.startsWith('/') || path.includes('#') || AMBIGUOUS.test(path) || BROKEN_ESCAPE.test(path)) {
    throw new Problem('INVALID_REQUEST', 'The path is malformed');
  }
  return path;
}
