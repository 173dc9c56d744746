/**
 * The news that a secret of an API key stops working. `secretHash` is the SHA-256 of the key (lower-case hex), which every
 * internal token made from it carries as well; so one rule ends cached keys and tokens alike: refuse from `validUntil` on.
 */
export interface KeyEnding {
  secretHash: string;
  /** Milliseconds since the epoch; now or past: revoked, later: the end of a rotation's grace */
  validUntil: number;
}

/** The news that a user's memberships are other ones than before. Nothing outlives it but memory, so it is told and not kept. */
export interface MembershipChange {
  userId: string;
}

export interface KeyRevocationListener {
  ended(ending: KeyEnding): void;
  membership?(change: MembershipChange): void;
  /** News may have been missed: what was learned before must be asked for again. */
  interrupted(): void;
}

/** Carries endings from the auth service to every process that caches keys, within a second. */
export interface KeyRevocations {
  publish(endings: readonly KeyEnding[]): Promise<void>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: KeyRevocationListener): () => void;
  /** While false, endings may not arrive, and nothing may be believed for a second or longer. */
  readonly live: boolean;
}
