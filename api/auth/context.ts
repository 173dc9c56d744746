import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { Logger } from '../../telemetry/log.js';
import type { Authenticator } from '../http/authenticate.js';
import { isAdmin, requireBoundTo, type Caller } from '../http/caller.js';
import type { KeyRevocations } from '../http/key-revocations.js';
import type { KeyProof } from './key-proof.js';
import type { Keyring } from './keyring.js';
import type { LoginThrottle } from './login-throttle.js';
import type { Passwords } from './passwords.js';
import type { Accounts, LimitReached, OrgRole, SecretEnding } from './ports.js';
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

/**
 * Asks the store and not the token: a role that was taken away must not be used for the token's remaining hour.
 *
 * @throws Problem FORBIDDEN, and NOT_FOUND for an ADMIN, who alone may know that there is no such organisation
 */
export async function requireRole({ orgs }: Accounts, caller: Caller, orgId: string, allowed: readonly OrgRole[]): Promise<void> {
  requireBoundTo(caller, orgId);
  if (isAdmin(caller)) {
    if (!(await orgs.exists(orgId))) throw noSuchOrg();
    return;
  }
  const role = await orgs.roleOf(orgId, caller.userId);
  if (!role) throw new Problem('FORBIDDEN', 'You are not a member of this organisation');
  if (!allowed.includes(role)) throw new Problem('FORBIDDEN', 'Only an OWNER manages the organisation');
}

export const noSuchOrg = () => new Problem('NOT_FOUND', 'There is no such organisation');

export const isLimit = (outcome: unknown): outcome is LimitReached =>
  typeof outcome === 'object' && outcome !== null && 'policy' in outcome;

const LIMITED: Record<string, string> = {
  organisations: 'organisations that one account creates or owns',
  memberships: 'organisations that one account is a member of',
  'api-keys': 'API keys of one account; delete some first',
  members: 'members of one organisation',
  'open-invitations': 'open invitations of one organisation',
  'open-invitations-of-person': 'open invitations of one person',
  'open-invitations-of-person-by-you': 'open invitations of one person by one inviter',
};

export const limitProblem = (reached: LimitReached) =>
  new Problem('LIMIT_REACHED', `There may be at most ${reached.limit} ${LIMITED[reached.policy] ?? reached.policy}`, { ...reached });

export const isoOrNull = (instant: Date | null): string | null => instant?.toISOString() ?? null;
