import type { Request, Response } from 'express';
import { LRUCache } from 'lru-cache';
import { Problem } from '../../contracts/errors.js';
import type { Authenticator, Identity } from '../http/authenticate.js';
import { headerOf } from '../http/caller.js';
import type { RateLimiter } from './rate-limit.js';

const PROVEN_ENTRIES = 10_000;
const SUFFIX_LENGTH = 64;

/**
 * Proves callers and stops guessers. Wrong credentials are counted for each address; past the limit, credentials that were
 * not proven before are refused unlooked-at, while callers behind the same address whose credential is known keep working.
 * What is remembered is the end of a credential, and only as a reason to look at it: it is proven again on every request.
 */
export function createCallerGate(authenticator: Pick<Authenticator, 'identify'>, limiter: RateLimiter) {
  const proven = new LRUCache<string, true>({ max: PROVEN_ENTRIES });

  return async function prove(req: Request, res: Response): Promise<Identity> {
    const credential = req.headers.authorization ?? headerOf(req, 'x-api-key');
    if (credential === undefined) throw new Problem('UNAUTHENTICATED', 'Send a bearer token or an API key');
    const mark = credential.slice(-SUFFIX_LENGTH);
    const known = proven.get(mark) === true;
    if (!known) await limiter.refuseGuessers(req, res);
    try {
      const identity = await authenticator.identify(req);
      if (!identity) throw new Problem('UNAUTHENTICATED', 'Send a bearer token or an API key');
      if (!known) proven.set(mark, true);
      return identity;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        proven.delete(mark);
        await limiter.countGuess(req, res);
      }
      throw error;
    }
  };
}
