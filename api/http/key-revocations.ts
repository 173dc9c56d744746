/**
 * The news that a secret of an API key stops working. `secretHash` is the SHA-256 of the key (lower-case hex), which every
 * internal token made from it carries as well; so one rule ends cached keys and tokens alike: refuse from `validUntil` on.
 */
export interface KeyEnding {
  secretHash: string;
  /** Milliseconds since the epoch; now or past: revoked, later: the end of a rotation's grace */
  validUntil: number;
}

/** The news that tokens of a user have ended: it lost a role, was disabled or enabled again, or is gone. */
export interface UserEnding {
  userId: string;
  /** Milliseconds since the epoch: tokens issued before it are refused, those made from API keys too. NEVER_MS: all are */
  validAfter: number;
}

/** Of an account that is disabled or gone; far beyond the life of any token. */
export const NEVER_MS = Date.UTC(9999, 11, 31);

/** The news that a user's memberships are other ones than before. Only memory outlives it, so it is told and not kept. */
export interface MembershipChange {
  userId: string;
}

export interface KeyRevocationListener {
  ended(ending: KeyEnding): void;
  membership?(change: MembershipChange): void;
  /** News may have been missed: what was learned before must be asked for again. */
  interrupted(): void;
}

/** Carries the end of authority (keys, accounts, roles, memberships) from where it ends to every process that remembers it, within a second. */
export interface KeyRevocations {
  publish(endings: readonly KeyEnding[]): Promise<void>;
  publishUser(ending: UserEnding): Promise<void>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: KeyRevocationListener): () => void;
  /** Whether a user's token that was issued then (milliseconds since the epoch) has ended with others of the user. */
  tokenEnded(userId: string, issuedAt: number): boolean;
  /** While false, endings may not arrive, and nothing may be believed for a second or longer. */
  readonly live: boolean;
}
