import type { Request, RequestHandler } from 'express';
import type { JWTVerifyGetKey } from 'jose';
import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { looksLikeApiKey } from '../../domain/api-key.js';
import type { Logger } from '../../telemetry/log.js';
import { headerOf, type Caller } from './caller.js';
import { createJwksSource } from './jwks-source.js';
import { createKeyCache } from './key-cache.js';
import { createRemoteKeyExchange, type KeyExchange } from './key-exchange.js';
import type { KeyRevocations } from './key-revocations.js';
import { createServiceFetch } from './service-fetch.js';
import { fixedServices, type ServiceResolver } from './services.js';
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
}

/** A proven caller and the JWT a gateway may send on in place of the credentials it got. */
export interface Identity {
  caller: Caller;
  internalJwt: string;
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

  const byKey = (rawKey: string): Promise<Identity> => {
    requireKeysEnabled(config);
    return keyCache.identify(rawKey);
  };
  const byToken = async (token: string): Promise<Identity> => {
    const { caller, keyHash } = await verifier.verify(token);
    if (keyHash !== null && keyCache.hasEnded(keyHash)) throw new Problem('UNAUTHENTICATED', 'The API key behind this token was revoked');
    return { caller, internalJwt: token };
  };
  const identify = async (req: Request): Promise<Identity | null> => {
    const authorization = headerOf(req, 'authorization');
    if (authorization !== undefined) {
      const bearer = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
      if (bearer === undefined) throw new Problem('UNAUTHENTICATED', 'The Authorization header must be "Bearer" and one token');
      return looksLikeApiKey(bearer) ? byKey(bearer) : byToken(bearer);
    }
    const rawKey = headerOf(req, 'x-api-key');
    return rawKey === undefined ? null : byKey(rawKey);
  };
  return {
    identify,
    async required(req, res, next) {
      const identity = await identify(req);
      if (!identity) throw new Problem('UNAUTHENTICATED', 'Send a bearer token or an API key');
      res.locals.caller = identity.caller;
      next();
    },
    async optional(req, res, next) {
      const identity = await identify(req);
      if (identity) res.locals.caller = identity.caller;
      next();
    },
    close: () => keyCache.close(),
  };
}

/** @throws Problem UNAUTHENTICATED while the flag apiKeyValidation is off */
export function requireKeysEnabled(config: Config): void {
  if (!config.flags.apiKeyValidation) {
    throw new Problem('UNAUTHENTICATED', 'API keys are switched off here (flag apiKeyValidation); log in and send a bearer token');
  }
}
