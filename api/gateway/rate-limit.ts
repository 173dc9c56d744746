import type { Request, Response } from 'express';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { WindowDecision } from '../../domain/sliding-window.js';
import type { Logger } from '../../telemetry/log.js';
import { metrics } from '../../telemetry/metrics.js';
import type { Caller } from '../http/caller.js';
import { addressOf } from '../http/client-address.js';
import { limitRefusal, setLimitHeaders, type NamedPolicy } from '../http/limit-words.js';
import type { RateLimitStore } from './ports.js';
import { isUnder, longestPrefix } from './routes.js';

export interface RateLimiter {
  /** Counts the request and sets the limit headers. @throws Problem RATE_LIMITED */
  limit(req: Request, res: Response, path: string, caller: Caller | null): Promise<void>;
  /** @throws Problem RATE_LIMITED when this address has sent too many wrong credentials */
  refuseGuessers(req: Request, res: Response): Promise<void>;
  /** Counts a request without credentials against the address. @throws Problem RATE_LIMITED when that was one too many */
  countAnonymous(req: Request, res: Response): Promise<void>;
  /** Counts one refused credential against the address. @throws Problem RATE_LIMITED when that was one too many */
  countGuess(req: Request, res: Response): Promise<void>;
}

interface Window {
  key: string;
  named: NamedPolicy;
}

type Decided = Window & { decision: WindowDecision };

const addressKey = (req: Request) => `ip:${addressOf(req)}`;

/**
 * Who is limited and by which policy; the counting is the store's. A store that fails lets requests pass: the limit
 * protects the services, and an outage of the limit must not become one of the services. A store that refuses by its
 * configuration (a Problem) is heeded.
 */
export function createRateLimiter(config: Config, store: RateLimitStore, log: Logger): RateLimiter {
  const { rateLimit, rateLimitOverrides, rateLimitKey, rateLimitKeyRequests, rateLimitExempt } = config.gateway;
  const policy = (name: string, limits: { requests: number; windowSeconds: number }): NamedPolicy => ({
    name,
    limit: limits.requests,
    windowMs: limits.windowSeconds * 1000,
  });
  const fallback = policy('default', rateLimit);
  const credentials = policy('credentials', rateLimit);
  const anonymous = policy('anonymous', rateLimit);
  const overrides = Object.entries(rateLimitOverrides).map(([prefix, limits]) => [prefix, policy(prefix, limits)] as const);

  /** The windows that a request counts in, the widest first. */
  function windowsOf(req: Request, caller: Caller | null, named: NamedPolicy): Window[] {
    if (!caller || rateLimitKey === 'ip') return [{ key: addressKey(req), named }];
    const windows: Window[] = [{ key: `user:${caller.userId}`, named }];
    if (caller.keyOrgId) windows.push({ key: `org:${caller.keyOrgId}`, named });
    if (rateLimitKey === 'api-key' && caller.apiKeyId) {
      windows.push({
        key: `key:${caller.apiKeyId}`,
        named: { ...named, limit: Math.min(named.limit, rateLimitKeyRequests ?? named.limit) },
      });
    }
    return windows;
  }

  /**
   * What refuses, else what is nearest to it. A request that one window refuses is to count in none: so where there are several
   * all are asked first. (Between that and the counting others may come: then it counts in the wider ones.)
   */
  async function hitAll(windows: readonly Window[]): Promise<Decided | null> {
    const [only, ...others] = windows;
    if (!only) return null;
    if (others.length === 0) {
      const decision = await ask('hit', only.key, only.named);
      return decision && { ...only, decision };
    }
    const refused = (await decideAll('peek', windows)).find(({ decision }) => !decision.allowed);
    if (refused) return refused;
    const decided = await decideAll('hit', windows);
    const byRoom = decided.toSorted((one, other) => one.decision.remaining - other.decision.remaining);
    return decided.find(({ decision }) => !decision.allowed) ?? byRoom[0] ?? null;
  }

  async function decideAll(verb: 'hit' | 'peek', windows: readonly Window[]): Promise<Decided[]> {
    const decisions = await Promise.all(
      windows.map(async (window) => ({ ...window, decision: await ask(verb, window.key, window.named) })),
    );
    return decisions.filter((window): window is Decided => window.decision !== null);
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
    if (showAlways || !decision.allowed) setLimitHeaders(res, named, decision);
    if (decision.allowed) return;
    metrics.rateLimited.inc({ policy: named.name });
    throw limitRefusal(named, decision);
  }

  const enabled = config.flags.rateLimiting;
  return {
    async limit(req, res, path, caller) {
      if (!enabled || rateLimitExempt.some((prefix) => isUnder(path, prefix))) return;
      const named = longestPrefix(overrides, path)?.[1] ?? fallback;
      const decided = await hitAll(windowsOf(req, caller, named));
      if (decided) enforce(res, decided.decision, decided.named, true);
    },
    async refuseGuessers(req, res) {
      if (enabled) enforce(res, await ask('peek', addressKey(req), credentials), credentials, false);
    },
    async countAnonymous(req, res) {
      if (enabled) enforce(res, await ask('hit', addressKey(req), anonymous), anonymous, true);
    },
    async countGuess(req, res) {
      if (enabled) enforce(res, await ask('hit', addressKey(req), credentials), credentials, true);
    },
  };
}
