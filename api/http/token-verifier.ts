import { hash } from 'node:crypto';
import { decodeProtectedHeader, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { issuedAtMs } from '../identity/issued-at.js';
import { rolesOfKey, type Caller } from './caller.js';

export interface VerifiedToken {
  caller: Caller;
  /** SHA-256 of the API key's secret the token was made from; null for a login */
  keyHash: string | null;
  /** Milliseconds since the epoch */
  issuedAt: number;
  /** Milliseconds since the epoch */
  expiresAt: number;
}

export interface TokenVerifier {
  /** @throws Problem UNAUTHENTICATED for a bad token, SERVICE_UNAVAILABLE when the signing keys can't be had */
  verify(token: string): Promise<VerifiedToken>;
}

/** Clocks of the services may differ by so much. An expired token gets no such grace. */
const CLOCK_TOLERANCE_SECONDS = 5;
const MAX_TOKEN_LENGTH = 16_384;
/** Members that would let a token say which key to verify it with, or ask for rules this verifier does not know. */
const FORBIDDEN_HEADERS = ['jku', 'jwk', 'x5u', 'x5c', 'x5t', 'crit', 'b64', 'zip'];

const claimsSchema = z.object({
  sub: z.guid(),
  username: z.string(),
  roles: z.array(z.string()),
  iat: z.number(),
  exp: z.number(),
  keyId: z.string().optional(),
  keyHash: z.string().optional(),
  tier: z.string().nullish(),
  keyOrgId: z.string().nullish(),
});

/** Verified tokens are remembered by hash until they expire: a check of an RS256 signature costs more than all the rest. */
export function createTokenVerifier(keys: JWTVerifyGetKey, config: Config['auth']): TokenVerifier {
  const verified = new LRUCache<string, VerifiedToken>({ max: config.keyCacheEntries });
  return {
    async verify(token) {
      if (token.length > MAX_TOKEN_LENGTH) throw refused('The token is too long');
      const id = hash('sha256', token, 'base64');
      const known = verified.get(id);
      if (known && known.expiresAt > Date.now()) return known;
      const fresh = await check(token, keys, config);
      verified.set(id, fresh);
      return fresh;
    },
  };
}

async function check(token: string, keys: JWTVerifyGetKey, config: Config['auth']): Promise<VerifiedToken> {
  try {
    const header = decodeProtectedHeader(token);
    if (header.alg !== 'RS256' || typeof header.kid !== 'string') throw refused('The token is not signed as this service signs');
    if (FORBIDDEN_HEADERS.some((name) => name in header)) throw refused('The token has a header that is not accepted');
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ['RS256'],
      typ: 'JWT',
      issuer: config.issuer,
      audience: config.audience,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['sub', 'iat', 'exp', 'jti'],
    });
    const claims = claimsSchema.parse(payload);
    const now = Date.now() / 1_000;
    if (claims.exp <= now) throw refused('The token has expired');
    if (claims.iat > now + CLOCK_TOLERANCE_SECONDS) throw refused('The token was issued in the future');
    return { caller: callerFrom(claims), keyHash: claims.keyHash ?? null, issuedAt: issuedAtMs(payload), expiresAt: claims.exp * 1_000 };
  } catch (error) {
    throw asProblem(error);
  }
}

const callerFrom = (claims: z.output<typeof claimsSchema>): Caller => ({
  userId: claims.sub,
  username: claims.username,
  // A key that was stolen must not rule: whatever its token says, it never carries ADMIN.
  roles: claims.keyId === undefined ? claims.roles : rolesOfKey(claims.roles),
  apiKeyId: claims.keyId ?? null,
  keyTier: claims.tier ?? null,
  keyOrgId: claims.keyOrgId ?? null,
});

const refused = (detail: string, cause?: unknown) => new Problem('UNAUTHENTICATED', detail, {}, { cause });

function asProblem(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return refused('The token has expired', error);
  if (error instanceof errors.JOSEError || error instanceof z.ZodError) return refused('The token is not valid', error);
  // What decodeProtectedHeader throws for a text that is no JWT at all.
  if (error instanceof TypeError) return refused('The token is not a JWT', error);
  return error;
}
