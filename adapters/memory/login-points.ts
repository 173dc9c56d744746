import { LRUCache } from 'lru-cache';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { LoginPoints } from '../../api/auth/login-throttle.js';
import type { Config } from '../../config.js';

const KNOWN = 10_000;

/** Failed logins as this process alone counts them, and the addresses that logged in since it was started. */
export function createMemoryLoginPoints(auth: Config['auth']): LoginPoints {
  const known = new LRUCache<string, true>({ max: KNOWN, ttl: auth.loginKnownDays * 86_400_000 });
  return {
    address: new RateLimiterMemory({ points: auth.loginAttempts, duration: auth.loginWindowSeconds }),
    account: new RateLimiterMemory({ points: auth.loginAccountAttempts, duration: auth.loginAccountWindowSeconds }),
    known: {
      has: (key) => Promise.resolve(known.has(key)),
      add: (key) => Promise.resolve(void known.set(key, true)),
    },
  };
}
