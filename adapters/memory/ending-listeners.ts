import { LRUCache } from 'lru-cache';
import type { KeyEnding, KeyRevocationListener, MembershipChange, UserEnding } from '../../api/http/key-revocations.js';

export interface EndingListeners {
  ended(ending: KeyEnding): void;
  userEnded(ending: UserEnding): void;
  membershipChanged(change: MembershipChange): void;
  interrupted(): void;
  subscribe(listener: KeyRevocationListener): () => void;
  tokenEnded(userId: string, issuedAt: number): boolean;
}

const MAX_ENDINGS = 50_000;
/** Longer than any token lives */
const KEPT_MS = 86_400_000;
/** A million accounts that end within a day are no reason to forget one of them; more would be a fault of its own. */
const MAX_USERS = 1_000_000;

/** Who listens in this process. The endings so far are repeated to whoever comes later: services start one after another. */
export function createEndingListeners(): EndingListeners {
  const listeners = new Set<KeyRevocationListener>();
  const known = new LRUCache<string, KeyEnding>({ max: MAX_ENDINGS, ttl: KEPT_MS });
  const users = new EndedUsers();
  return {
    ended(ending) {
      known.set(ending.secretHash, ending);
      listeners.forEach((listener) => listener.ended(ending));
    },
    userEnded: (ending) => users.add(ending),
    membershipChanged: (change) => listeners.forEach((listener) => listener.membership?.(change)),
    interrupted: () => listeners.forEach((listener) => listener.interrupted()),
    subscribe(listener) {
      listeners.add(listener);
      for (const ending of known.values()) listener.ended(ending);
      return () => listeners.delete(listener);
    },
    tokenEnded: (userId, issuedAt) => users.tokenEnded(userId, issuedAt),
  };
}

/** By user, oldest news first. A Map and no LRUCache: that takes the memory for all its places at once. */
class EndedUsers {
  private readonly validAfter = new Map<string, { ms: number; heardAt: number }>();

  add({ userId, validAfter }: UserEnding): void {
    const now = Date.now();
    this.validAfter.delete(userId);
    this.validAfter.set(userId, { ms: validAfter, heardAt: now });
    for (const [oldest, { heardAt }] of this.validAfter) {
      if (this.validAfter.size <= MAX_USERS && heardAt > now - KEPT_MS) return;
      this.validAfter.delete(oldest);
    }
  }

  tokenEnded(userId: string, issuedAt: number): boolean {
    if (this.validAfter.size === 0) return false;
    const known = this.validAfter.get(userId);
    return known !== undefined && issuedAt < known.ms;
  }
}
