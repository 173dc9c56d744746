import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { Logger } from '../../telemetry/log.js';
import type { Authenticator } from '../http/authenticate.js';
import type { Caller } from '../http/caller.js';
import type { KeyRevocations } from '../http/key-revocations.js';
import type { KeyProof } from './key-proof.js';
import type { Keyring } from './keyring.js';
import type { LoginThrottle } from './login-throttle.js';
import type { Passwords } from './passwords.js';
import type { Accounts, SecretEnding } from './ports.js';
import type { TokenIssuer } from './tokens.js';

/** What the routes share. */
export interface AuthContext {
  config: Config;
  log: Logger;
  accounts: Accounts;
  revocations: KeyRevocations;
  passwords: Passwords;
  keyring: Keyring;
  issuer: TokenIssuer;
  keyProof: KeyProof;
  throttle: LoginThrottle;
  authenticator: Authenticator;
}

/** An API key must not make, revoke or widen credentials: who steals one could outlive its revocation. */
export function requireLogin(caller: Caller): void {
  if (caller.apiKeyId !== null) throw new Problem('FORBIDDEN', 'This needs a login; an API key is not enough');
}

export function announce(revocations: KeyRevocations, endings: readonly SecretEnding[]): Promise<void> {
  return revocations.publish(endings.map(({ secretHash, validUntil }) => ({ secretHash, validUntil: validUntil.getTime() })));
}

export const isoOrNull = (instant: Date | null): string | null => instant?.toISOString() ?? null;
