import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { LoginPoints } from '../../api/auth/login-throttle.js';
import type { Config } from '../../config.js';
import type { RedisClient } from './connection.js';

/** Failed logins as all auth services together count them, under keys `login:…` and `login-account:…`; known addresses under `login-known:…`. */
export function createRedisLoginPoints(client: RedisClient, auth: Config['auth']): LoginPoints {
  const points = (keyPrefix: string, limit: number, duration: number) =>
    new RateLimiterRedis({ storeClient: client, keyPrefix, points: limit, duration });
  const knownKey = (key: string) => `login-known:${key}`;
  return {
    address: points('login', auth.loginAttempts, auth.loginWindowSeconds),
    account: points('login-account', auth.loginAccountAttempts, auth.loginAccountWindowSeconds),
    known: {
      has: async (key) => (await client.exists(knownKey(key))) === 1,
      add: async (key) => void (await client.set(knownKey(key), '1', 'EX', auth.loginKnownDays * 86_400)),
    },
  };
}
