import { normalisePassword } from '../../domain/accounts/password.js';
import { USERNAME_LAWS } from '../../domain/accounts/username.js';
import { TIERS } from '../../domain/tiers.js';
import { defaulted, instant, isUuid, optional, text, timestamp, uuid, whole, z } from './common.js';
import { whom } from './invitations.js';
import { pageQuery } from './pages.js';
import { orgRole } from './roles.js';

/** bcrypt reads 72 bytes and ignores the rest, so a longer password would be weaker than it looks. */
export const PASSWORD_MAX_BYTES = 72;
export const MAX_GRACE_SECONDS = 7 * 86_400;

const utf8 = new TextEncoder();
export const byteLength = (text: string): number => utf8.encode(text).length;

const username = text({
  min: 3,
  max: 50,
  normalise: (name) => name.normalize('NFKC').trim(),
  pattern: /^[\p{L}\p{M}\p{N} ._@+-]+$/u,
  says: 'must be 3 to 50 letters, digits, spaces and . _ @ + - only',
  laws: USERNAME_LAWS,
  always: true,
}).openapi({ example: 'ada' });
const email = text({
  max: 254,
  normalise: (address) => address.trim().toLowerCase(),
  pattern: z.core.regexes.email,
  says: 'must be an e-mail address such as ada@example.com, of at most 254 characters',
  always: true,
}).openapi({ format: 'email', example: 'ada@example.com' });
const password = text({
  min: 8,
  // A character is a byte at least.
  max: PASSWORD_MAX_BYTES,
  normalise: normalisePassword,
  laws: [[(secret) => byteLength(secret) <= PASSWORD_MAX_BYTES, `must have at most ${PASSWORD_MAX_BYTES} bytes in UTF-8`]],
}).openapi({ format: 'password', example: 'correct horse battery' });
const label = text({
  max: 100,
  normalise: (name) => name.trim(),
  pattern: /^[^\p{Cc}\p{Cs}]+$/u,
  says: 'must be 1 to 100 characters, none of them a control character',
  always: true,
});
const id = uuid;
const nullableTimestamp = timestamp.nullable();
const roles = z.array(z.string()).openapi({ example: ['USER'] });
const jwt = z.string().openapi({ description: 'RS256 JWT', example: 'eyJhbGciOiJSUzI1NiIsImtpZCI6…' });
const rawKey = z.string().openapi({ description: 'Shown once', example: 'leaky_7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11_4be1…' });

export const registerBody = z.object({ username, email, password });
export const registered = z.object({ userId: uuid, username: z.string(), email: z.string(), token: jwt, roles, createdAt: timestamp });

/** Laxer than registration: what can't be an account's name or password is simply wrong. */
export const loginBody = z.object({ username: text({ max: 1_000 }), password: text({ max: 1_000 }) });
export const loggedIn = z.object({ userId: uuid, username: z.string(), token: jwt, roles, expiresAt: timestamp });

export const createApiKeyBody = z.object({
  userId: id,
  name: label,
  expiresAt: optional(instant()).openapi({ description: 'In the future; default: never', example: '2027-01-31T12:00:00Z' }),
  orgId: optional(id).openapi({ description: 'Binds the key to an organisation its owner belongs to' }),
  tier: optional(z.enum(TIERS)).openapi({ description: 'Set by an ADMIN only' }),
});
export const createdApiKey = z.object({
  id: uuid,
  userId: uuid,
  name: z.string(),
  createdAt: timestamp,
  expiresAt: nullableTimestamp,
  rawKey,
});
const boundTo = uuid.nullable().openapi({ description: 'The organisation that the key acts for, and nothing else; null: its user' });
export const listApiKeysQuery = z.object({ userId: id, ...pageQuery });
export const listedApiKeys = z.array(
  z.object({
    id: uuid,
    name: z.string(),
    orgId: boundTo,
    createdAt: timestamp,
    expiresAt: nullableTimestamp,
    lastUsedAt: nullableTimestamp,
  }),
);
export const deleteApiKeyQuery = z.object({ userId: id, apiKeyId: id });
export const apiKeyParams = z.object({ id });
export const rotateApiKeyBody = z.object({
  graceSeconds: defaulted(whole(0, MAX_GRACE_SECONDS), 0).openapi({ description: 'How long the old secret still works' }),
});
export const apiKeyHeaders = z.object({ 'x-api-key': text({ max: 200 }) });
export const validApiKey = z.object({ userId: uuid, name: z.string(), orgId: boundTo, expiresAt: nullableTimestamp, roles });
export const exchangedApiKey = z.object({
  token: jwt.openapi({ description: 'Internal JWT of a few minutes' }),
  expiresAt: timestamp,
  /** When the presented secret itself stops working */
  keyValidUntil: nullableTimestamp,
});

export const createOrgBody = z.object({ name: label });
export const org = z.object({ orgId: uuid, name: z.string(), role: orgRole, createdAt: timestamp });
export const orgList = z.array(org);
export const listQuery = z.object(pageQuery);
export const orgParams = z.object({ orgId: id });
export const putMemberBody = z
  .object({ ...whom, role: defaulted(orgRole, 'MEMBER') })
  .refine(({ userId, username }) => (userId === undefined) !== (username === undefined), {
    path: ['userId'],
    error: 'must be given, or username in its place',
  });
export const memberQuery = z.object({
  userId: text({
    max: 36,
    normalise: (who) => who.toLowerCase(),
    laws: [[(who) => who === 'me' || isUuid(who), 'must be a UUID, or me']],
  }).openapi({ description: 'Whom to remove; me: leave' }),
});
export const orgMember = z.object({ orgId: uuid, userId: uuid, username: z.string(), role: orgRole, createdAt: timestamp });
export const orgMemberList = z.array(orgMember);

export const jwkSet = z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) });
export const rotatedSigningKey = z.object({ kid: z.string() });
