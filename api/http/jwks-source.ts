import { setTimeout as delay } from 'node:timers/promises';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';
import { Problem } from '../../contracts/errors.js';
import type { Logger } from '../../telemetry/log.js';
import type { ServiceFetch } from './service-fetch.js';

/** After a fetch, an unknown key id causes no other for so long: forged ids can't make every request a fetch. */
const COOLDOWN_MS = 1_000;
/** Keys that were withdrawn are forgotten after so long. */
const REFRESH_MS = 60_000;
const TIMEOUT_MS = 2_000;

/**
 * Signing keys from the auth service's JWKS, fetched on first use and when a token names a key that is not known. The set in
 * memory never expires by itself, so known keys go on working while the auth service is away.
 */
export function createJwksSource(auth: ServiceFetch, log: Logger): JWTVerifyGetKey {
  // The library wants an address; which instance answers is decided for each call.
  const remote = createRemoteJWKSet(new URL('http://auth-service/oauth2/jwks'), {
    [customFetch]: (_url, init) => auth('/oauth2/jwks', init),
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: Infinity,
    timeoutDuration: TIMEOUT_MS,
  });
  let refreshedAt = Date.now();

  const refreshWhenOld = (): void => {
    if (Date.now() - refreshedAt < REFRESH_MS) return;
    refreshedAt = Date.now();
    remote.reload().catch((error: unknown) => log.warn({ err: error }, 'the JWKS could not be refreshed; going on with the known keys'));
  };

  return async (header, token) => {
    refreshWhenOld();
    const wasCooling = remote.coolingDown;
    try {
      return await remote(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw unavailable(error);
      // During the cool-down nothing was fetched: a token signed right after a rotation must not fail for a forger's traffic.
      if (!wasCooling) throw error;
    }
    await delay(COOLDOWN_MS);
    try {
      return await remote(header, token);
    } catch (error) {
      throw error instanceof errors.JWKSNoMatchingKey ? error : unavailable(error);
    }
  };
}

const unavailable = (cause: unknown) =>
  new Problem(
    'SERVICE_UNAVAILABLE',
    'The auth service does not answer, so the token cannot be checked now',
    { retryAfterSeconds: 1 },
    { cause },
  );
