import type { Request, RequestHandler, Response } from 'express';
import type { JWTVerifyGetKey } from 'jose';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { looksLikeApiKey } from '../../domain/api-key.js';
import type { Logger } from '../../telemetry/log.js';
import { headerOf, isAdmin, type Caller } from './caller.js';
import { createJwksSource } from './jwks-source.js';
import { createKeyCache } from './key-cache.js';
import { createRemoteKeyExchange, type KeyExchange } from './key-exchange.js';
import type { KeyRevocations } from './key-revocations.js';
import { createServiceFetch } from './service-fetch.js';
import { fixedServices, type ServiceResolver } from './services.js';
import { createStandings, withoutAdmin, type AskStanding } from '../identity/standings.js';
import { createTokenVerifier } from './token-verifier.js';

export interface AuthenticatorDeps {
  config: Config;
  log: Logger;
  revocations: KeyRevocations;
  /** Where the auth service is. Default: at the one address in config.services.auth */
  services?: ServiceResolver;
  /** Default: the JWKS of the auth service over HTTP. The auth service itself gives its own keys. */
  keys?: JWTVerifyGetKey;
  /** Default: the exchange route of the auth service over HTTP */
  exchange?: KeyExchange;
  /** Default: nobody can be asked, and nobody is an ADMIN here */
  standing?: AskStanding;
}

/** A proven caller and the JWT a gateway may send on in place of the credentials it got. */
export interface Identity {
  caller: Caller;
  internalJwt: string;
}

/** An identity with what must be known to tell whether it still holds. */
interface Proven extends Identity {
  keyHash: string | null;
  issuedAt: number;
}

export interface Authenticator {
  /** Sets res.locals.caller, or ends the request with UNAUTHENTICATED. */
  required: RequestHandler;
  /** The same, but a request without credentials goes on without a caller. Bad credentials are refused all the same. */
  optional: RequestHandler;
  /** Null: the request has no credentials. @throws Problem UNAUTHENTICATED or SERVICE_UNAVAILABLE */
  identify(req: Request): Promise<Identity | null>;
  close(): void;
}

/**
 * Who makes a request: `Authorization: Bearer` with a JWT or an API key, else `X-Api-Key`. Every service verifies the JWT itself;
 * an API key is exchanged for an internal JWT, which is then verified like any other. With the flag apiKeyValidation off, API
 * keys are refused, because letting unchecked ones in is no option.
 */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { config, log, revocations } = deps;
  const auth = createServiceFetch(deps.services ?? fixedServices(config.services), 'auth');
  const verifier = createTokenVerifier(deps.keys ?? createJwksSource(auth, log), config.auth);
  const exchange = deps.exchange ?? createRemoteKeyExchange(auth);
  const keyCache = createKeyCache(exchange, verifier, revocations, config.auth);

  const ask = deps.standing && createStandings(deps.standing);

  const byKey = (rawKey: string): Promise<Proven> => {
    requireKeysEnabled(config);
    return keyCache.identify(rawKey);
  };
  const byToken = async (token: string): Promise<Proven> => {
    const { caller, keyHash, issuedAt } = await verifier.verify(token);
    if (keyHash !== null && keyCache.hasEnded(keyHash)) throw keyRevoked();
    if (revocations.tokenEnded(caller.userId, issuedAt)) throw tokenEnded();
    return { caller, internalJwt: token, keyHash, issuedAt };
  };
  /**
   * Who it is now. The store is asked before anybody is an ADMIN, whatever the token says, and about everybody while news of
   * what has ended may not arrive. Nobody else pays for it.
   */
  const settled = async ({ caller, internalJwt, keyHash, issuedAt }: Proven): Promise<Caller> => {
    if (revocations.live && !isAdmin(caller)) return caller;
    if (!ask) return withoutAdmin(caller);
    const standing = await ask({ userId: caller.userId, keyHash, issuedAt, token: internalJwt });
    if (!standing || issuedAt < standing.validAfter) throw tokenEnded();
    if (standing.keyEnded) throw keyRevoked();
    return standing.admin ? caller : withoutAdmin(caller);
  };
  const prove = async (req: Request): Promise<Proven | null> => {
    const authorization = headerOf(req, 'authorization');
    if (authorization !== undefined) {
      const bearer = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
      if (bearer === undefined) throw new Problem('UNAUTHENTICATED', 'The Authorization header must be "Bearer" and one token');
      return looksLikeApiKey(bearer) ? byKey(bearer) : byToken(bearer);
    }
    const rawKey = headerOf(req, 'x-api-key');
    return rawKey === undefined ? null : byKey(rawKey);
  };
  /** Requests whose caller this authenticator has proven: a route may ask for it again at no cost. */
  const seen = new WeakSet<Response>();
  return {
    async identify(req) {
      const proven = await prove(req);
      return proven && { caller: proven.caller, internalJwt: proven.internalJwt };
    },
    async required(req, res, next) {
      if (!seen.has(res)) {
        const proven = await prove(req);
        if (!proven) throw new Problem('UNAUTHENTICATED', 'Send a bearer token or an API key');
        res.locals.caller = await settled(proven);
        seen.add(res);
      }
      next();
    },
    async optional(req, res, next) {
      const proven = await prove(req);
      if (proven) res.locals.caller = await settled(proven);
      next();
    },
    close: () => keyCache.close(),
  };
}

const keyRevoked = () => new Problem('UNAUTHENTICATED', 'The API key behind this token was revoked');
const tokenEnded = () => new Problem('UNAUTHENTICATED', 'The account was changed or ended after this token was issued; log in again');

/** @throws Problem UNAUTHENTICATED while the flag apiKeyValidation is off */
export function requireKeysEnabled(config: Config): void {
  if (!config.flags.apiKeyValidation) {
    throw new Problem('UNAUTHENTICATED', 'API keys are switched off here (flag apiKeyValidation); log in and send a bearer token');
  }
}
