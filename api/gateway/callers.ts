import type { Request, Response } from 'express';
import { LRUCache } from 'lru-cache';
import { Problem } from '../../contracts/errors.js';
import type { Authenticator, Identity } from '../http/authenticate.js';
import type { SharedPlaces } from '../../platform/shared-places.js';
import { headerOf, shareKeyOf } from '../http/caller.js';
import { addressOf } from '../http/client-address.js';
import type { RateLimiter } from './rate-limit.js';

const PROVEN_ENTRIES = 10_000;
const SUFFIX_LENGTH = 64;

export interface CallerGate {
  /** @throws Problem UNAUTHENTICATED, RATE_LIMITED or OVERLOADED */
  prove(req: Request, res: Response): Promise<Identity>;
  /** Whose share of shared places a request is to take, as far as that is known before anything is proven: else its address. */
  shareBefore(req: Request): string;
}

const credentialOf = (req: Request) => req.headers.authorization ?? headerOf(req, 'x-api-key');

/**
 * Proves callers and stops guessers. Wrong credentials are counted for each address; past the limit, credentials that were
 * not proven before are refused unlooked-at, while callers behind the same address whose credential is known keep working.
 * Those that are not known are looked at a few at a time, each address its share, so that a flood of them takes the time of
 * nobody who is known. What is remembered is the end of a credential and whose it was, only to tell before it is looked at;
 * it is proven again on every request.
 */
export function createCallerGate(authenticator: Pick<Authenticator, 'identify'>, limiter: RateLimiter, places: SharedPlaces): CallerGate {
  const proven = new LRUCache<string, string>({ max: PROVEN_ENTRIES });

  async function identify(req: Request, res: Response, mark: string): Promise<Identity> {
    try {
      const identity = await authenticator.identify(req);
      if (!identity) throw new Problem('UNAUTHENTICATED', MISSING);
      const share = shareKeyOf(identity.caller);
      if (proven.get(mark) !== share) proven.set(mark, share);
      return identity;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        proven.delete(mark);
        await limiter.countGuess(req, res);
      }
      throw error;
    }
  }

  return {
    async prove(req, res) {
      const credential = credentialOf(req);
      if (credential === undefined) {
        await limiter.countAnonymous(req, res);
        throw new Problem('UNAUTHENTICATED', MISSING);
      }
      const mark = credential.slice(-SUFFIX_LENGTH);
      if (proven.has(mark)) return identify(req, res, mark);
      await limiter.refuseGuessers(req, res);
      const leave = await places.enter(addressOf(req));
      return identify(req, res, mark).finally(leave);
    },
    shareBefore(req) {
      const credential = credentialOf(req);
      return (credential && proven.get(credential.slice(-SUFFIX_LENGTH))) ?? addressOf(req);
    },
  };
}

const MISSING = 'Send a bearer token or an API key';
