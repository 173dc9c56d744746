import type { Request, Response } from 'express';
import { Problem } from '../../contracts/errors.js';
import type { Actor } from '../../domain/accounts/actor.js';

/** Who makes the request, as proven by a JWT or an API key. Set by `authenticate`. */
export interface Caller {
  userId: string;
  username: string;
  roles: string[];
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

/** In whose name a change is logged. */
export const actorOf = (res: Response): Actor => ({ userId: callerOf(res).userId, correlationId: res.locals.correlationId });

/** Whose share of a shared place a call takes: that of the organisation its key is bound to, else the user's. */
export const shareKeyOf = (caller: Caller): string => caller.keyOrgId ?? caller.userId;

/** What an API key may be of what its owner is. */
export const rolesOfKey = (roles: readonly string[]): string[] => roles.filter((role) => role !== 'ADMIN');

export const isAdmin = (caller: Caller): boolean => caller.roles.includes('ADMIN');

/** A USER acts only on its own userId, and not through a key that is bound to an organisation; ADMIN on all. */
export function requireSelf(caller: Caller, userId: string): void {
  if (caller.keyOrgId) throw new Problem('FORBIDDEN', 'This API key acts for its organisation only, not for its user');
  if (caller.userId !== userId && !isAdmin(caller)) throw new Problem('FORBIDDEN', 'You may act only on your own user id');
}

export function requireAdmin(caller: Caller): void {
  if (!isAdmin(caller)) throw new Problem('FORBIDDEN', 'This needs the ADMIN role');
}

/** What a user is in organisations. What it no longer is may be told for less than a second; what it became, at once. */
export interface Memberships {
  isMember(userId: string, orgId: string): Promise<boolean>;
  /** Null: no member */
  roleOf(userId: string, orgId: string): Promise<'OWNER' | 'MEMBER' | null>;
  orgsOf(userId: string): Promise<string[]>;
}

/** A key that is bound to an organisation acts for no other. */
export function requireBoundTo(caller: Caller, orgId: string): void {
  if (caller.keyOrgId && caller.keyOrgId !== orgId) throw new Problem('FORBIDDEN', 'This API key acts for another organisation only');
}

/** A USER acts only for organisations that it is a member of, and through a key bound to one only for that; ADMIN for all. */
export async function requireMember(memberships: Memberships, caller: Caller, orgId: string): Promise<void> {
  requireBoundTo(caller, orgId);
  if (isAdmin(caller) || (await memberships.isMember(caller.userId, orgId))) return;
  throw new Problem('FORBIDDEN', 'You are not a member of this organisation');
}

/** One header value; a header that was sent twice counts as its first value. */
export function headerOf(req: Request, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
