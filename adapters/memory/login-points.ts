import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { LoginPoints } from '../../api/auth/login-throttle.js';
import type { Config } from '../../config.js';

/** Failed logins as this process alone counts them. */
export const createMemoryLoginPoints = ({ loginAttempts, loginWindowSeconds }: Config['auth']): LoginPoints =>
  new RateLimiterMemory({ points: loginAttempts, duration: loginWindowSeconds });
