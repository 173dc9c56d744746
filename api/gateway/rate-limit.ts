import type { Request, Response } from 'express';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { WindowDecision, WindowPolicy } from '../../domain/sliding-window.js';
import type { Logger } from '../../telemetry/log.js';
import { metrics } from '../../telemetry/metrics.js';
import type { Caller } from '../http/caller.js';
import { addressOf } from '../http/client-address.js';
import type { RateLimitStore } from './ports.js';
import { isUnder, longestPrefix } from './routes.js';

interface NamedPolicy extends WindowPolicy {
  /** `default`, `credentials` or the path prefix of the override */
  name: string;
}

export interface RateLimiter {
  /** Counts the request and sets the limit headers. @throws Problem RATE_LIMITED */
  limit(req: Request, res: Response, path: string, caller: Caller | null): Promise<void>;
  /** @throws Problem RATE_LIMITED when this address has sent too many wrong credentials */
  refuseGuessers(req: Request, res: Response): Promise<void>;
  /** Counts one refused credential against the address. @throws Problem RATE_LIMITED when that was one too many */
  countGuess(req: Request, res: Response): Promise<void>;
}

const addressKey = (req: Request) => `ip:${addressOf(req)}`;

/**
 * Who is limited and by which policy; the counting is the store's. A store that fails lets requests pass: the limit
 * protects the services, and an outage of the limit must not become one of the services. A store that refuses by its
 * configuration (a Problem) is heeded.
 */
export function createRateLimiter(config: Config, store: RateLimitStore, log: Logger): RateLimiter {
  const { rateLimit, rateLimitOverrides, rateLimitKey, rateLimitExempt } = config.gateway;
  const policy = (name: string, limits: { requests: number; windowSeconds: number }): NamedPolicy => ({
    name,
    limit: limits.requests,
    windowMs: limits.windowSeconds * 1000,
  });
  const fallback = policy('default', rateLimit);
  const credentials = policy('credentials', rateLimit);
  const overrides = Object.entries(rateLimitOverrides).map(([prefix, limits]) => [prefix, policy(prefix, limits)] as const);

  function keyOf(req: Request, caller: Caller | null): string {
    if (caller && rateLimitKey !== 'ip') {
      return rateLimitKey === 'api-key' && caller.apiKeyId ? `key:${caller.apiKeyId}` : `user:${caller.userId}`;
    }
    return addressKey(req);
  }

  async function ask(verb: 'hit' | 'peek', key: string, named: NamedPolicy): Promise<WindowDecision | null> {
    try {
      return await store[verb](`${named.name}|${key}`, named);
    } catch (error) {
      if (error instanceof Problem) throw error;
      log.warn({ err: error }, 'the rate-limit store does not answer; the request passes unlimited');
      return null;
    }
  }

  function enforce(res: Response, decision: WindowDecision | null, named: NamedPolicy, showAlways: boolean): void {
    if (!decision) return;
    if (showAlways || !decision.allowed) setHeaders(res, named, decision);
    if (decision.allowed) return;
    metrics.rateLimited.inc({ policy: named.name });
    throw refusal(named, decision);
  }

  const enabled = config.flags.rateLimiting;
  return {
    async limit(req, res, path, caller) {
      if (!enabled || rateLimitExempt.some((prefix) => isUnder(path, prefix))) return;
      const named = longestPrefix(overrides, path)?.[1] ?? fallback;
      enforce(res, await ask('hit', keyOf(req, caller), named), named, true);
    },
    async refuseGuessers(req, res) {
      if (enabled) enforce(res, await ask('peek', addressKey(req), credentials), credentials, false);
    },
    async countGuess(req, res) {
      if (enabled) enforce(res, await ask('hit', addressKey(req), credentials), credentials, true);
    },
  };
}

const secondsUntil = (decision: WindowDecision): number => Math.max(0, Math.ceil((decision.resetAtMs - Date.now()) / 1000));

/**
 * The customary three, and the structured fields of draft-ietf-httpapi-ratelimit-headers-11: a policy item carries the quota
 * `q` and the window `w`, a limit item the remaining `r` and the seconds `t` until there is more.
 */
function setHeaders(res: Response, named: NamedPolicy, decision: WindowDecision): void {
  const name = JSON.stringify(named.name);
  res.setHeader('X-RateLimit-Limit', decision.limit);
  res.setHeader('X-RateLimit-Remaining', decision.remaining);
  res.setHeader('X-RateLimit-Reset', Math.ceil(decision.resetAtMs / 1000));
  res.setHeader('RateLimit-Policy', `${name};q=${named.limit};w=${Math.ceil(named.windowMs / 1000)}`);
  res.setHeader('RateLimit', `${name};r=${decision.remaining};t=${secondsUntil(decision)}`);
}

function refusal(named: NamedPolicy, decision: WindowDecision): Problem {
  const seconds = Math.ceil(named.windowMs / 1000);
  return new Problem('RATE_LIMITED', `The limit "${named.name}" of ${decision.limit} requests in ${seconds} s is used up`, {
    retryAfterSeconds: secondsUntil(decision),
    policy: named.name,
    limit: decision.limit,
    used: decision.used,
    resetAt: new Date(decision.resetAtMs).toISOString(),
  });
}
