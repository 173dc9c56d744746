import { createMemoryLoginPoints } from '../../adapters/memory/login-points.js';
import { loginPointsDespite } from '../../adapters/redis/despite-outage.js';
import { createRedisLoginPoints } from '../../adapters/redis/login-points.js';
import { RedisOutage } from '../../adapters/redis/outage.js';
import { loadConfig } from '../../config.js';
import { log, withRedis } from '../redis/support.js';
import { ACCOUNT_ATTEMPTS, ATTEMPTS, loginPointsContract } from './login-points.js';

const { auth } = loadConfig({
  LEAKY_LOGIN_ATTEMPTS: String(ATTEMPTS),
  LEAKY_LOGIN_WINDOW_SECONDS: '60',
  LEAKY_LOGIN_ACCOUNT_ATTEMPTS: String(ACCOUNT_ATTEMPTS),
});

describe('LoginPoints in memory', () => {
  const points = createMemoryLoginPoints(auth);
  loginPointsContract(() => points);
});

describe('LoginPoints in Redis', () => {
  const redis = withRedis();
  loginPointsContract(() => createRedisLoginPoints(redis(), auth));
});

describe('LoginPoints with Redis away, decided on locally', () => {
  const away = { status: 'reconnecting' } as const;
  const redis = withRedis();
  const local = createMemoryLoginPoints(auth);
  loginPointsContract(() => loginPointsDespite(new RedisOutage(away, 'local', log), createRedisLoginPoints(redis(), auth), local));
});
