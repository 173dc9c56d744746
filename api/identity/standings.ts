import { LRUCache } from 'lru-cache';
import type { Caller } from '../http/caller.js';

/** What a token claims, to be held against the store. */
export interface Claim {
  userId: string;
  /** Of the API key's secret that the token was made from; null for a login */
  keyHash: string | null;
  /** When it was issued, milliseconds since the epoch */
  issuedAt: number;
  /** The token itself, for whoever has no store and asks with it */
  token: string;
}

/** How an account stands now. Null: there is none, or it is disabled. */
export interface Standing {
  admin: boolean;
  /** Milliseconds since the epoch; tokens issued before have ended */
  validAfter: number;
  keyEnded: boolean;
}

/** Asks where accounts are kept; rejects when that does not answer. */
export type AskStanding = (claim: Claim) => Promise<Standing | null>;

/** Far below the second within which a lost role must stop working; a burst of requests is one question. */
const BELIEVED_MS = 300;
const MAX_ENTRIES = 10_000;

/** Asks once for those who come together. What is not known is not remembered. */
export function createStandings(ask: AskStanding): AskStanding {
  const answers = new LRUCache<string, Promise<Standing | null>>({ max: MAX_ENTRIES, ttl: BELIEVED_MS, ttlResolution: 0 });
  return (claim) => {
    const key = `${claim.userId} ${claim.keyHash ?? ''} ${claim.issuedAt}`;
    const known = answers.get(key);
    if (known) return known;
    const answer = ask(claim);
    answers.set(key, answer);
    answer.catch(() => answers.delete(key));
    return answer;
  };
}

export const withoutAdmin = (caller: Caller): Caller => ({ ...caller, roles: caller.roles.filter((role) => role !== 'ADMIN') });
