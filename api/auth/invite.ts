import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';
import { Problem } from '../../contracts/errors.js';
import { INVITATION_DAYS, INVITATION_PREFIX, MAX_INVITATION_DAYS } from '../../contracts/http/invitations.js';
import type { Actor } from '../../domain/accounts/actor.js';
import { usernameKey } from '../../domain/accounts/username.js';
import { hashSecret } from '../http/key-cache.js';
import { isLimit, limitProblem, noSuchOrg, type AuthContext } from './context.js';
import type { Invitation, OrgRole } from './ports.js';

const DAY_MS = 86_400_000;
const TOKEN_BYTES = 32;

export interface Invited {
  userId?: string | undefined;
  username?: string | undefined;
  role: OrgRole;
  expiresAt?: string | undefined;
}

/**
 * Invites somebody. A name that nobody has gets the same answer as one that somebody has, and counts the same.
 *
 * @throws Problem INVALID_REQUEST, NOT_FOUND (organisation, user id), CONFLICT (a member), LIMIT_REACHED
 */
export async function invite({ accounts, config }: AuthContext, orgId: string, { userId, username, role, expiresAt }: Invited, by: Actor) {
  const token = INVITATION_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
  const invitee = userId !== undefined ? { userId } : username !== undefined ? { username, nameKey: usernameKey(username) } : null;
  const outcome = await accounts.invitations.create(
    { id: v7(), orgId, role, invitee, tokenHash: hashSecret(token), expiresAt: endOf(expiresAt) },
    by,
  );
  if (outcome === 'NO_SUCH_ORG') throw noSuchOrg();
  if (outcome === 'NO_SUCH_USER') throw new Problem('NOT_FOUND', 'There is no such user');
  if (outcome === 'IS_MEMBER') throw new Problem('CONFLICT', 'This user is a member already');
  if (isLimit(outcome)) throw limitProblem(outcome);
  const { invitation, created } = outcome;
  const url = `${config.publicUrl}/api/v1/auth/invitations/${token}/accept`;
  return { created, answer: { ...invitationShown(invitation, userId), ...(created && { url }) } };
}

/** @param userId as the inviter gave it: who is behind a name is not told */
export const invitationShown = ({ id, orgId, role, username, createdAt, expiresAt, ...row }: Invitation, userId?: string) => ({
  id,
  orgId,
  userId: username === null ? (userId ?? row.userId) : null,
  username,
  role,
  createdAt: createdAt.toISOString(),
  expiresAt: expiresAt.toISOString(),
});

function endOf(expiresAt: string | undefined): Date {
  const now = Date.now();
  const end = expiresAt === undefined ? new Date(now + INVITATION_DAYS * DAY_MS) : new Date(expiresAt);
  if (end.getTime() > now && end.getTime() <= now + MAX_INVITATION_DAYS * DAY_MS) return end;
  const message = `must be in the future, at most ${MAX_INVITATION_DAYS} days from now`;
  throw new Problem('INVALID_REQUEST', `expiresAt: ${message}`, { errors: [{ field: 'expiresAt', message }] });
}
