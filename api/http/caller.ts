import type { Request, Response } from 'express';
import { Problem } from '../../contracts/errors.js';

/** Who makes the request, as proven by a JWT or an API key. Set by `authenticate`. */
export interface Caller {
  userId: string;
  username: string;
  roles: string[];
  /** Organisations named in the token; membership itself is checked with the Memberships port, which is fresher. */
  orgs: string[];
  /** Set when the caller came with an API key */
  apiKeyId: string | null;
  /** Tier of that API key, if it has one */
  keyTier: string | null;
  /** Organisation that API key is bound to, if any */
  keyOrgId?: string | null;
}

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the only way to type express's res.locals
  namespace Express {
    interface Locals {
      correlationId: string;
      caller?: Caller;
      /** For the access log */
      consumptionId?: string;
    }
  }
}

/** @throws Problem UNAUTHENTICATED when no `authenticate` ran before */
export function callerOf(res: Response): Caller {
  if (!res.locals.caller) throw new Problem('UNAUTHENTICATED', 'Send a bearer token or an API key');
  return res.locals.caller;
}

/** Whose share of a shared place a call takes: that of the organisation its key is bound to, else the user's. */
export const shareKeyOf = (caller: Caller): string => caller.keyOrgId ?? caller.userId;

export const isAdmin = (caller: Caller): boolean => caller.roles.includes('ADMIN');

/** A USER acts only on its own userId; ADMIN on all. */
export function requireSelf(caller: Caller, userId: string): void {
  if (caller.userId !== userId && !isAdmin(caller)) throw new Problem('FORBIDDEN', 'You may act only on your own user id');
}

export function requireAdmin(caller: Caller): void {
  if (!isAdmin(caller)) throw new Problem('FORBIDDEN', 'This needs the ADMIN role');
}

/** Answers whether a user belongs to an organisation; may be a few seconds old. */
export interface Memberships {
  isMember(userId: string, orgId: string): Promise<boolean>;
  orgsOf(userId: string): Promise<string[]>;
}

export async function requireMember(memberships: Memberships, caller: Caller, orgId: string): Promise<void> {
  if (isAdmin(caller) || (await memberships.isMember(caller.userId, orgId))) return;
  throw new Problem('FORBIDDEN', 'You are not a member of this organisation');
}

/** One header value; a header that was sent twice counts as its first value. */
export function headerOf(req: Request, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
