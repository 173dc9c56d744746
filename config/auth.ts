import { z } from 'zod';
import { count, secret, type Env } from './fields.js';

export const schema = {
  LEAKY_ADMIN_USERNAME: z.string().min(3).max(50).optional(),
  LEAKY_ADMIN_PASSWORD: secret(z.string().min(8).max(72).optional()),
  LEAKY_JWT_ISSUER: z.string().default('https://leaky-tokens.local'),
  LEAKY_JWT_AUDIENCE: z.string().default('leaky-tokens'),
  LEAKY_JWT_TTL_SECONDS: count(3600),
  LEAKY_INTERNAL_JWT_TTL_SECONDS: count(300),
  LEAKY_SIGNING_KEY_ROTATION_DAYS: count(30),
  LEAKY_MASTER_KEY: secret(
    z
      .string()
      .regex(/^[0-9a-f]{64}$/, '64 hex digits')
      .optional()
      .describe('256-bit key that encrypts signing keys at rest; embedded: generated once into the data folder'),
  ),
  LEAKY_KEY_CACHE_SECONDS: count(300),
  LEAKY_KEY_CACHE_ENTRIES: count(10_000),
  LEAKY_LOGIN_ATTEMPTS: count(10),
  LEAKY_LOGIN_WINDOW_SECONDS: count(300),
};

export const shape = (env: Env<typeof schema>) => ({
  auth: {
    adminUsername: env.LEAKY_ADMIN_USERNAME,
    adminPassword: env.LEAKY_ADMIN_PASSWORD,
    issuer: env.LEAKY_JWT_ISSUER,
    audience: env.LEAKY_JWT_AUDIENCE,
    tokenTtlSeconds: env.LEAKY_JWT_TTL_SECONDS,
    internalTokenTtlSeconds: env.LEAKY_INTERNAL_JWT_TTL_SECONDS,
    signingKeyRotationDays: env.LEAKY_SIGNING_KEY_ROTATION_DAYS,
    masterKey: env.LEAKY_MASTER_KEY,
    keyCacheSeconds: env.LEAKY_KEY_CACHE_SECONDS,
    keyCacheEntries: env.LEAKY_KEY_CACHE_ENTRIES,
    loginAttempts: env.LEAKY_LOGIN_ATTEMPTS,
    loginWindowSeconds: env.LEAKY_LOGIN_WINDOW_SECONDS,
  },
});
