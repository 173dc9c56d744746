import type { Response } from 'express';
import { Problem } from '../../contracts/errors.js';
import type { WindowDecision, WindowPolicy } from '../../domain/sliding-window.js';

export interface NamedPolicy extends WindowPolicy {
  /** As callers are told it: `default`, `credentials`, the path prefix of an override … */
  name: string;
}

const secondsUntil = (decision: WindowDecision): number => Math.max(0, Math.ceil((decision.resetAtMs - Date.now()) / 1000));

/**
 * The customary three, and the structured fields of draft-ietf-httpapi-ratelimit-headers-11: a policy item carries the quota
 * `q` and the window `w`, a limit item the remaining `r` and the seconds `t` until there is more.
 */
export function setLimitHeaders(res: Response, named: NamedPolicy, decision: WindowDecision): void {
  const name = JSON.stringify(named.name);
  res.setHeader('X-RateLimit-Limit', decision.limit);
  res.setHeader('X-RateLimit-Remaining', decision.remaining);
  res.setHeader('X-RateLimit-Reset', Math.ceil(decision.resetAtMs / 1000));
  res.setHeader('RateLimit-Policy', `${name};q=${named.limit};w=${Math.ceil(named.windowMs / 1000)}`);
  res.setHeader('RateLimit', `${name};r=${decision.remaining};t=${secondsUntil(decision)}`);
}

export function limitRefusal(named: NamedPolicy, decision: WindowDecision): Problem {
  const seconds = Math.ceil(named.windowMs / 1000);
  return new Problem('RATE_LIMITED', `The limit "${named.name}" of ${decision.limit} requests in ${seconds} s is used up`, {
    retryAfterSeconds: secondsUntil(decision),
    policy: named.name,
    limit: decision.limit,
    used: decision.used,
    resetAt: new Date(decision.resetAtMs).toISOString(),
  });
}
