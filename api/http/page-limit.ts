import type { RequestHandler } from 'express';
import { LRUCache } from 'lru-cache';
import type { Config } from '../../config.js';
import { SlidingWindow } from '../../domain/sliding-window.js';
import { addressOf } from './client-address.js';
import { limitRefusal, setLimitHeaders, type NamedPolicy } from './limit-words.js';
import { sendProblem } from './problem.js';

const MAX_ADDRESSES = 10_000;

/**
 * Bounds what nobody has to prove anything for: probes, metrics, documents, fallbacks. By address, for each service of this
 * process; a probe every tenth of a second is far below it. Only a refusal tells the limit: probes do not read headers.
 */
export function pageLimit({ gateway, flags }: Pick<Config, 'gateway' | 'flags'>): RequestHandler {
  const { rateLimit, rateLimitPages, rateLimitExempt } = gateway;
  const policy: NamedPolicy = { name: 'pages', limit: rateLimitPages, windowMs: rateLimit.windowSeconds * 1_000 };
  const windows = new LRUCache<string, SlidingWindow>({ max: MAX_ADDRESSES });
  const isExempt = (path: string) => rateLimitExempt.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));

  return (req, res, next) => {
    if (!flags.rateLimiting || isExempt(req.path.toLowerCase())) return next();
    const address = addressOf(req);
    let window = windows.get(address);
    if (!window) windows.set(address, (window = new SlidingWindow(policy)));
    const decision = window.hit(Date.now());
    if (decision.allowed) return next();
    setLimitHeaders(res, policy, decision);
    const { code, detail, extras } = limitRefusal(policy, decision);
    sendProblem(res, code, detail, extras);
  };
}
