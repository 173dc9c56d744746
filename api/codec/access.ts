import { hash, timingSafeEqual } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import { callerOf, headerOf, requireAdmin } from '../http/caller.js';
import { Problem } from '../../contracts/errors.js';

const COOKIE = 'leaky_codec';
const SESSION_MS = 8 * 3_600_000;

/**
 * Whoever may read what is encrypted: the bearer of the configured token, or an ADMIN with a token of the auth service. API keys are
 * for spending and open nothing here. The Web UI has neither of the two: its user signs in at /sign-in, which leaves the token in a
 * cookie that only pages of the same site (the UI, by its CORS origin) make the browser send.
 */
export function createAccess(token: string | undefined, authenticate: RequestHandler): RequestHandler {
  return async (req, res, next) => {
    const credentials = headerOf(req, 'authorization') ?? cookieOf(req);
    if (credentials !== undefined) req.headers.authorization = credentials;
    if (token !== undefined && credentials !== undefined && same(credentials, `Bearer ${token}`)) return next();
    await authenticate(req, res, () => {
      const caller = callerOf(res);
      if (caller.apiKeyId !== null) throw new Problem('FORBIDDEN', 'API keys do not open payloads; log in as an ADMIN');
      requireAdmin(caller);
      next();
    });
  };
}

/** To be called for a request that has passed: the browser sends its credentials along from now on. */
export function rememberCredentials(req: Request, res: Response): void {
  const value = encodeURIComponent(headerOf(req, 'authorization') ?? '');
  res.cookie(COOKIE, value, { httpOnly: true, sameSite: 'strict', secure: req.secure, maxAge: SESSION_MS, encode: String });
}

function cookieOf(req: Request): string | undefined {
  const [, value] = new RegExp(`(?:^|;\\s*)${COOKIE}=([^;]+)`).exec(headerOf(req, 'cookie') ?? '') ?? [];
  try {
    return value === undefined ? undefined : decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

/** In the same time whatever they have in common. */
const same = (one: string, other: string) => timingSafeEqual(digest(one), digest(other));
const digest = (text: string) => Buffer.from(hash('sha256', text, 'hex'));
