import { defaulted, instant, optional, text, timestamp, uuid, z } from './common.js';
import { orgRole } from './roles.js';

/** Of an invitation's token, so that one in a log or a chat is known for what it is. */
export const INVITATION_PREFIX = 'inv_';
export const INVITATION_DAYS = 7;
export const MAX_INVITATION_DAYS = 30;

/** As people type it: whether there is such an account is not told. */
const typedName = text({ max: 200, normalise: (name) => name.trim() });

export const whom = { userId: optional(uuid), username: optional(typedName) };

export const createInvitationBody = z
  .object({
    ...whom,
    role: defaulted(orgRole, 'MEMBER'),
    expiresAt: optional(instant()).openapi({
      description: `In the future, at most ${MAX_INVITATION_DAYS} days from now; default: in ${INVITATION_DAYS} days`,
    }),
  })
  .refine(({ userId, username }) => userId === undefined || username === undefined, {
    path: ['username'],
    error: 'must be left out when userId is given',
  })
  .openapi({ description: 'Without userId and username it is for whoever has the link' });

const shown = { id: uuid, role: orgRole, createdAt: timestamp, expiresAt: timestamp };

export const createdInvitation = z
  .object({
    ...shown,
    orgId: uuid,
    userId: uuid.nullable(),
    username: z.string().nullable().openapi({ description: 'As it was typed' }),
    url: z.string().optional().openapi({ description: 'POST to it to accept. Shown once: absent when the invitation was there already' }),
  })
  .openapi('CreatedInvitation');
export const orgInvitationList = z.array(createdInvitation.omit({ url: true }));
export const myInvitationList = z.array(z.object({ ...shown, orgId: uuid, orgName: z.string() }));

export const invitationParams = z.object({ orgId: uuid, id: uuid });
/** An invitation's id, or the token of its link */
export const invitationRef = z.object({
  ref: text({ max: 100, pattern: /^[\w-]+$/, says: 'must be the id or the token of an invitation' }),
});
