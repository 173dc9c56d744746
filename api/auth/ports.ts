import type { JWK } from 'jose';
import type { Actor } from '../../domain/accounts/actor.js';
import type { AskStanding } from '../identity/standings.js';

/** What the auth service needs to keep. Expected refusals are returned values. Instants are Dates, hashes lower-case hex. */

/** How much one account may make, and have made of it. */
export interface AccountBounds {
  /** That it created or owns */
  orgsPerUser: number;
  membershipsPerUser: number;
  keysPerUser: number;
  membersPerOrg: number;
  /** Open invitations */
  invitationsPerUser: number;
  invitationsPerOrg: number;
}

/** A refusal: `used` of `limit` are there already. */
export interface LimitReached {
  policy: string;
  limit: number;
  used: number;
}

/** Of a list: at most `limit` rows, after the one with this id */
export interface Page {
  limit: number;
  after: string | null;
}

export type OrgRole = 'OWNER' | 'MEMBER';

export interface User {
  id: string;
  username: string;
  /** Null only for the first ADMIN, who comes from configuration */
  email: string | null;
  passwordHash: string;
  roles: string[];
  createdAt: Date;
  disabledAt: Date | null;
  /** Tokens issued before are refused; null: none are */
  tokensValidAfter: Date | null;
}

export interface NewUser {
  id: string;
  username: string;
  /** The forms of the name that must be unique: see domain/accounts/username.ts */
  usernameKey: string;
  usernameSkeleton: string;
  email: string | null;
  passwordHash: string;
  roles: string[];
}

export interface Users {
  /** @param by who makes it, if not who will have it */
  create(user: NewUser, by?: Actor): Promise<{ createdAt: Date } | 'USERNAME_TAKEN' | 'EMAIL_TAKEN'>;
  /** Whether a registration would be refused now; spares a refused one the cost of hashing. */
  taken(name: Pick<NewUser, 'usernameKey' | 'usernameSkeleton'>, email: string): Promise<'USERNAME_TAKEN' | 'EMAIL_TAKEN' | null>;
  byUsernameKey(usernameKey: string): Promise<User | null>;
  /** Replaces a hash by another of the same password, unless the password was changed meanwhile. */
  rehash(userId: string, passwordHash: string, newHash: string): Promise<void>;
  /** Gives accounts of before the skeletons that are still free, so that nobody new looks like them. */
  fillSkeletons(skeletonOf: (username: string) => string): Promise<void>;
  byId(id: string): Promise<User | null>;
  /** False: there is no such user. */
  addRole(userId: string, role: string, by: Actor): Promise<boolean>;
  /** Ends the user's tokens: they name the role. */
  removeRole(userId: string, role: string, by: Actor): Promise<EndOfUser | 'ROLE_NOT_HELD'>;
  /** Disables the account, or enables it again; its tokens end in both cases. */
  setDisabled(userId: string, disabled: boolean, by: Actor): Promise<EndOfUser>;
  /** Removes the account with its keys and memberships. What it bought and used stays in the books. */
  remove(userId: string, by: Actor): Promise<EndOfUser | 'LAST_OWNER'>;
}

/** Which of the user's tokens are refused from now on (NEVER_MS: all), or why nothing was changed. */
export type EndOfUser = { validAfter: number } | 'NO_SUCH_USER' | 'LAST_ADMIN';

export interface ApiKey {
  id: string;
  userId: string;
  orgId: string | null;
  name: string;
  tier: string | null;
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
}

/** A secret that stops working at `validUntil`, which may be past. */
export interface SecretEnding {
  secretHash: string;
  validUntil: Date;
}

/** What one secret proves right now. */
export interface KeyHolder {
  key: ApiKey;
  username: string;
  roles: string[];
  /** See User */
  tokensValidAfter: Date | null;
  /** When this very secret stops working: the end of its grace or of the key, whichever is first; null: never */
  validUntil: Date | null;
}

export interface ApiKeys {
  /** NOT_A_MEMBER: the owner does not belong to the organisation the key would be bound to. */
  create(
    key: Omit<ApiKey, 'createdAt' | 'lastUsedAt'> & { secretHash: string },
    by: Actor,
  ): Promise<ApiKey | 'NO_SUCH_USER' | 'NOT_A_MEMBER' | LimitReached>;
  byId(id: string): Promise<ApiKey | null>;
  /** Newest first */
  list(userId: string, page: Page): Promise<ApiKey[]>;
  /** The secrets that stopped working; null when the user has no such key. */
  remove(userId: string, id: string, by: Actor): Promise<SecretEnding[] | null>;
  /** Replaces the secret. The old one works until `graceEnds`, the one before it ends at once. Null: no such key. */
  rotate(id: string, secretHash: string, graceEnds: Date, by: Actor): Promise<SecretEnding[] | null>;
  /** Null when the secret is unknown, expired, rotated out or revoked. */
  holder(secretHash: string): Promise<KeyHolder | null>;
  markUsed(uses: ReadonlyMap<string, Date>): Promise<void>;
  /** Endings since `since`, for caches that were not listening. */
  endings(since: Date): Promise<SecretEnding[]>;
}

export interface Org {
  id: string;
  name: string;
  createdAt: Date;
}

export interface OrgMember {
  orgId: string;
  userId: string;
  username: string;
  role: OrgRole;
  createdAt: Date;
}

export interface Orgs {
  /** Creates the organisation with its creator as OWNER. */
  create(id: string, name: string, ownerId: string, by: Actor): Promise<Org | 'NO_SUCH_USER' | LimitReached>;
  exists(id: string): Promise<boolean>;
  /** Organisations of a user, or `only` one of them, with the role held in each, oldest first. */
  of(userId: string, page: Page, only?: string | null): Promise<(Org & { role: OrgRole })[]>;
  roleOf(orgId: string, userId: string): Promise<OrgRole | null>;
  /** Oldest account first */
  members(orgId: string, page: Page): Promise<OrgMember[]>;
  /** Without asking the user, which an ADMIN may. One that is a member already never loses a role by it. */
  addMember(orgId: string, userId: string, role: OrgRole, by: Actor): Promise<OrgMember | 'NO_SUCH_ORG' | 'NO_SUCH_USER' | LimitReached>;
  changeRole(orgId: string, userId: string, role: OrgRole, by: Actor): Promise<OrgMember | 'NO_SUCH_ORG' | 'NOT_A_MEMBER' | 'LAST_OWNER'>;
  /** Also deletes the member's keys that are bound to the organisation, and returns the secrets that ended with them. */
  removeMember(orgId: string, userId: string, by: Actor): Promise<SecretEnding[] | 'NOT_A_MEMBER' | 'LAST_OWNER'>;
  /** Deletes an organisation that owns nothing, with its members and the keys bound to it. `owned`: what it owns, in words. */
  remove(orgId: string, by: Actor): Promise<{ endings: SecretEnding[] } | { owned: string[] } | 'NO_SUCH_ORG'>;
}

export interface Invitation {
  id: string;
  orgId: string;
  orgName: string;
  role: OrgRole;
  /** Whom it is for; null: nobody has the name, or it is for whoever has the link */
  userId: string | null;
  /** As the inviter typed it */
  username: string | null;
  createdAt: Date;
  expiresAt: Date;
}

export type Invitee = { userId: string } | { username: string; nameKey: string };

export type InvitationRef = { id: string } | { tokenHash: string };

/** Membership is an invitation that is accepted: nobody is made part of anything without a word. */
export interface Invitations {
  /** @param made `invitee` null: whoever has the link. One that the person has already is renewed, and `tokenHash` not used. */
  create(
    made: { id: string; orgId: string; role: OrgRole; invitee: Invitee | null; tokenHash: string; expiresAt: Date },
    by: Actor,
  ): Promise<{ invitation: Invitation; created: boolean } | 'NO_SUCH_ORG' | 'NO_SUCH_USER' | 'IS_MEMBER' | LimitReached>;
  /** Open ones, oldest first */
  ofUser(userId: string, page: Page): Promise<Invitation[]>;
  ofOrg(orgId: string, page: Page): Promise<Invitation[]>;
  /** ENDED: it was accepted. Revoking again is OK. */
  revoke(orgId: string, id: string, by: Actor): Promise<'OK' | 'NOT_FOUND' | 'ENDED'>;
  /** The membership, also when accepted again. NOT_FOUND: there is none for this user. ENDED: it is not open any more. */
  accept(ref: InvitationRef, userId: string, by: Actor): Promise<(Org & { role: OrgRole }) | 'NOT_FOUND' | 'ENDED' | LimitReached>;
  /** ENDED: it was accepted. Declining again is OK. */
  decline(ref: InvitationRef, userId: string, by: Actor): Promise<'OK' | 'NOT_FOUND' | 'ENDED'>;
  /** Forgets those that expired a month ago. */
  purge(): Promise<void>;
}

export interface SigningKeyRecord {
  kid: string;
  publicJwk: JWK;
  /** As stored: encrypted or plain JSON */
  privateJwk: string;
  createdAt: Date;
}

export interface SigningKeys {
  /** The active key and the public parts of all keys whose tokens may still live, newest first. */
  load(retiredWithinSeconds: number): Promise<{ active: SigningKeyRecord | null; publicJwks: JWK[] }>;
  /**
   * Retires the active key and activates a new one, in one step that no other process can interleave. With `olderThan`, only
   * when there is no active key or it was created before that instant; false: nothing was done.
   */
  rotate(make: () => Promise<Omit<SigningKeyRecord, 'createdAt'>>, by: Actor, olderThan?: Date): Promise<boolean>;
  /** Stores another form of the active key's private part (encrypted instead of plain). */
  replacePrivate(kid: string, privateJwk: string): Promise<void>;
  /** Forgets keys retired for longer than this. */
  purge(retiredForSeconds: number): Promise<void>;
}

/** One change, as it was logged in its own transaction. */
export interface AdminLogEntry {
  id: number;
  at: Date;
  /** A user id, or `database`, `system`, `configuration` */
  actor: string;
  /** `{what}.{created | changed | removed | rotated}` */
  action: string;
  targetKind: string;
  targetId: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  correlationId: string | null;
}

export interface AdminLogQuery {
  actor?: string | undefined;
  action?: string | undefined;
  /** Any id that the change was about */
  target?: string | undefined;
  from?: string | undefined;
  /** Entries older than this one */
  before?: number | undefined;
  limit: number;
}

export interface AdminLog {
  /** Newest first */
  page(query: AdminLogQuery): Promise<AdminLogEntry[]>;
  /** Forgets entries older than this, a month at least. */
  purge(olderThanDays: number): Promise<void>;
}

export interface Accounts {
  adminLog: AdminLog;
  users: Users;
  standing: AskStanding;
  apiKeys: ApiKeys;
  orgs: Orgs;
  invitations: Invitations;
  signingKeys: SigningKeys;
  /** Resolves when the store answers */
  ping(): Promise<void>;
}
