import type { Request, Response } from 'express';
import { LRUCache } from 'lru-cache';
import { Problem } from '../../contracts/errors.js';
import { headerOf, type Caller } from '../http/caller.js';
import type { RateLimiter } from './rate-limit.js';

/** A caller and the token that proves it to the services. */
export interface ResolvedCaller {
  caller: Caller;
  /** Goes to the service as the bearer token: the caller's own JWT, or the internal one an API key was exchanged for */
  jwt: string;
}

/** Proves who sends a request. @throws Problem UNAUTHENTICATED, INVALID_CREDENTIALS or SERVICE_UNAVAILABLE */
export type ResolveCaller = (req: Request) => Promise<ResolvedCaller>;

const PROVEN_ENTRIES = 10_000;
const SUFFIX_LENGTH = 64;

/**
 * Proves callers and stops guessers. Wrong credentials are counted for each address; past the limit, credentials that were
 * not proven before are refused unlooked-at, while callers behind the same address whose credential is known keep working.
 * What is remembered is the end of a credential, and only as a reason to look at it: it is proven again on every request.
 */
export function createCallerGate(resolve: ResolveCaller, limiter: RateLimiter) {
  const proven = new LRUCache<string, true>({ max: PROVEN_ENTRIES });

  return async function prove(req: Request, res: Response): Promise<ResolvedCaller> {
    const credential = headerOf(req, 'x-api-key') ?? req.headers.authorization;
    const mark = credential?.slice(-SUFFIX_LENGTH);
    const known = mark !== undefined && proven.get(mark) === true;
    if (!known) await limiter.refuseGuessers(req, res);
    try {
      const resolved = await resolve(req);
      if (!known && mark !== undefined) proven.set(mark, true);
      return resolved;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        if (mark !== undefined) proven.delete(mark);
        await limiter.countGuess(req, res);
      }
      throw error;
    }
  };
}
