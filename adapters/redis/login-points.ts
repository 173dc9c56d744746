import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { LoginPoints } from '../../api/auth/login-throttle.js';
import type { Config } from '../../config.js';
import type { RedisClient } from './connection.js';

/** Failed logins as all auth services together count them, under keys `login:…`. */
export const createRedisLoginPoints = (client: RedisClient, { loginAttempts, loginWindowSeconds }: Config['auth']): LoginPoints =>
  new RateLimiterRedis({ storeClient: client, keyPrefix: 'login', points: loginAttempts, duration: loginWindowSeconds });
