import { SignJWT } from 'jose';
import type { Config } from '../../config.js';
import { tokenIdAt } from '../identity/issued-at.js';
import type { Keyring } from './keyring.js';
import type { KeyHolder, User } from './ports.js';

export interface IssuedToken {
  token: string;
  expiresAt: Date;
}

export interface TokenIssuer {
  /** For a person who has proven a password. */
  forUser(user: Pick<User, 'id' | 'username' | 'roles' | 'tokensValidAfter'>): Promise<IssuedToken>;
  /** For the holder of an API key; names the key, its tier and the hash of the secret, by which it is ended with the secret. */
  forKey(holder: KeyHolder, secretHash: string): Promise<IssuedToken>;
}

/** Nothing in a token grows with what others do: whoever belongs to many organisations would have a token that no header carries. */
export function createTokenIssuer(keyring: Keyring, config: Config['auth']): TokenIssuer {
  const issue = async (subject: string, claims: Record<string, unknown>, issuedAtMs: number, expiresAt: number): Promise<IssuedToken> => {
    const { kid, privateKey } = await keyring.active();
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid })
      .setIssuer(config.issuer)
      .setAudience(config.audience)
      .setSubject(subject)
      .setIssuedAt(seconds(issuedAtMs))
      .setExpirationTime(expiresAt)
      .setJti(tokenIdAt(issuedAtMs))
      .sign(privateKey);
    return { token, expiresAt: new Date(expiresAt * 1_000) };
  };
  /** Not before the last end of the user's tokens, which is told by the database's clock. */
  const issueTime = (tokensValidAfter: Date | null) => Math.max(Date.now(), tokensValidAfter?.getTime() ?? 0);
  return {
    forUser({ id, username, roles, tokensValidAfter }) {
      const issuedAt = issueTime(tokensValidAfter);
      return issue(id, { username, roles }, issuedAt, seconds(issuedAt) + config.tokenTtlSeconds);
    },
    forKey({ key, username, roles, tokensValidAfter, validUntil }, secretHash) {
      const issuedAt = issueTime(tokensValidAfter);
      // Rounded up: caches end the key at its exact instant, and a token that is dead at birth would help nobody.
      const end = Math.min(
        seconds(issuedAt) + config.internalTokenTtlSeconds,
        validUntil ? Math.ceil(validUntil.getTime() / 1_000) : Infinity,
      );
      const claims = { username, roles, keyId: key.id, keyHash: secretHash, tier: key.tier, keyOrgId: key.orgId };
      return issue(key.userId, claims, issuedAt, end);
    },
  };
}

const seconds = (ms: number): number => Math.floor(ms / 1_000);
