import { z } from 'zod';
import { count, secret, type Env } from './fields.js';

export const schema = {
  LEAKY_ADMIN_USERNAME: z.string().min(3).max(50).optional().describe('The first administrator, made at the start when there is none'),
  LEAKY_ADMIN_PASSWORD: secret(
    z
      .string()
      .min(8)
      .refine((text) => Buffer.byteLength(text) <= 72, 'at most 72 bytes in UTF-8')
      .optional()
      .describe('Of the first administrator, 8 to 72 bytes; embedded: generated and printed once'),
  ),
  LEAKY_JWT_ISSUER: z.string().default('https://leaky-tokens.local').describe('Claim iss of the tokens; all services must agree'),
  LEAKY_JWT_AUDIENCE: z.string().default('leaky-tokens').describe('Claim aud of the tokens; all services must agree'),
  // What tells a service that was not listening of ended tokens is kept for a day (migration 0006): no token may live longer.
  LEAKY_JWT_TTL_SECONDS: z.coerce.number().int().min(1).max(86_400).default(3600).describe('How long a login lasts'),
  LEAKY_INTERNAL_JWT_TTL_SECONDS: count(300).describe('How long the token lasts that the gateway gets for an API key'),
  LEAKY_SIGNING_KEY_ROTATION_DAYS: count(30).describe('Age at which the key that signs tokens is replaced'),
  LEAKY_MASTER_KEY: secret(
    z
      .string()
      .regex(/^[0-9a-f]{64}$/, '64 hex digits')
      .optional()
      .describe('256-bit key that encrypts signing keys at rest; embedded: generated once into the data folder'),
  ),
  LEAKY_KEY_CACHE_SECONDS: count(300).describe('How long an answer about an API key is kept'),
  LEAKY_KEY_CACHE_ENTRIES: count(10_000).describe('How many such answers one process keeps'),
  LEAKY_LOGIN_ATTEMPTS: count(10).describe('Failed logins of one name from one address (an IPv6 /64 is one) in the window before 429'),
  LEAKY_LOGIN_WINDOW_SECONDS: count(300).describe('The window of the failed logins'),
  LEAKY_LOGIN_ACCOUNT_ATTEMPTS: count(100).describe(
    'Failed logins of one name from all addresses together that never logged in to it, in the window before 429',
  ),
  LEAKY_LOGIN_ACCOUNT_WINDOW_SECONDS: count(3600).describe('The window of the failed logins of a name from all addresses'),
  LEAKY_LOGIN_KNOWN_DAYS: count(30).describe('How long an address that logged in is known, and so let in while others guess'),
  LEAKY_ORGS_PER_USER: count(20).describe('Organisations that one account may create or own'),
  LEAKY_MEMBERSHIPS_PER_USER: count(100).describe('Organisations that one account may be a member of'),
  LEAKY_KEYS_PER_USER: count(100).describe('API keys that one account may have'),
  LEAKY_MEMBERS_PER_ORG: count(1_000).describe('Members that one organisation may have'),
  LEAKY_INVITATIONS_PER_USER: count(20).describe('Open invitations that one person may have; one inviter may make a quarter of them'),
  LEAKY_INVITATIONS_PER_ORG: count(100).describe('Open invitations that one organisation may have'),
  LEAKY_ADMIN_LOG_DAYS: count(400, 30).describe('How long the admin log keeps an entry'),
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
    loginAccountAttempts: env.LEAKY_LOGIN_ACCOUNT_ATTEMPTS,
    loginAccountWindowSeconds: env.LEAKY_LOGIN_ACCOUNT_WINDOW_SECONDS,
    loginKnownDays: env.LEAKY_LOGIN_KNOWN_DAYS,
    bounds: {
      orgsPerUser: env.LEAKY_ORGS_PER_USER,
      membershipsPerUser: env.LEAKY_MEMBERSHIPS_PER_USER,
      keysPerUser: env.LEAKY_KEYS_PER_USER,
      membersPerOrg: env.LEAKY_MEMBERS_PER_ORG,
      invitationsPerUser: env.LEAKY_INVITATIONS_PER_USER,
      invitationsPerOrg: env.LEAKY_INVITATIONS_PER_ORG,
    },
    adminLogDays: env.LEAKY_ADMIN_LOG_DAYS,
  },
});
