import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Config } from '../../config.js';
import type { Keyring } from './keyring.js';
import type { KeyHolder } from './ports.js';

export interface IssuedToken {
  token: string;
  expiresAt: Date;
}

export interface TokenIssuer {
  /** For a person who has proven a password. */
  forUser(user: { id: string; username: string; roles: string[] }): Promise<IssuedToken>;
  /** For the holder of an API key; names the key, its tier and the hash of the secret, by which it is ended with the secret. */
  forKey(holder: KeyHolder, secretHash: string): Promise<IssuedToken>;
}

/** Nothing in a token grows with what others do: whoever belongs to many organisations would have a token that no header carries. */
export function createTokenIssuer(keyring: Keyring, config: Config['auth']): TokenIssuer {
  const issue = async (subject: string, claims: Record<string, unknown>, issuedAt: number, expiresAt: number): Promise<IssuedToken> => {
    const { kid, privateKey } = await keyring.active();
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid })
      .setIssuer(config.issuer)
      .setAudience(config.audience)
      .setSubject(subject)
      .setIssuedAt(issuedAt)
      .setExpirationTime(expiresAt)
      .setJti(randomUUID())
      .sign(privateKey);
    return { token, expiresAt: new Date(expiresAt * 1_000) };
  };
  const now = () => Math.floor(Date.now() / 1_000);
  return {
    forUser({ id, username, roles }) {
      const issuedAt = now();
      return issue(id, { username, roles }, issuedAt, issuedAt + config.tokenTtlSeconds);
    },
    forKey({ key, username, roles, validUntil }, secretHash) {
      const issuedAt = now();
      // Rounded up: caches end the key at its exact instant, and a token that is dead at birth would help nobody.
      const end = Math.min(issuedAt + config.internalTokenTtlSeconds, validUntil ? Math.ceil(validUntil.getTime() / 1_000) : Infinity);
      const claims = { username, roles, keyId: key.id, keyHash: secretHash, tier: key.tier, keyOrgId: key.orgId };
      return issue(key.userId, claims, issuedAt, end);
    },
  };
}
