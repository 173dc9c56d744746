import { hash } from 'node:crypto';
import type { Router } from 'express';
import { jwkSet, rotatedSigningKey } from '../../contracts/http/auth.js';
import { cacheable } from '../http/caching.js';
import { actorOf, callerOf, requireAdmin } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import { requireLogin, type AuthContext } from './context.js';

export const signingKeyOperations: Operation[] = [
  {
    method: 'get',
    path: '/oauth2/jwks',
    summary: 'Public keys that verify the tokens',
    tag: 'tokens',
    public: true,
    responses: { 200: { description: 'A JWK Set (RFC 7517)', schema: jwkSet, type: 'application/jwk-set+json' } },
  },
  {
    method: 'post',
    path: '/api/v1/auth/signing-keys/rotate',
    summary: 'Sign with a new key from now on (ADMIN); tokens of the old one stay valid until they expire',
    tag: 'tokens',
    responses: {
      200: { description: 'The new key', schema: rotatedSigningKey },
      401: { description: 'Not authenticated' },
      403: { description: 'Not an ADMIN' },
    },
  },
];

export function signingKeyRoutes(router: Router, { keyring, authenticator, log }: AuthContext): void {
  router.get('/oauth2/jwks', async (_req, res) => {
    const body = JSON.stringify({ keys: await keyring.publicJwks() });
    // Short enough that caches between us and a verifier of someone else's learn of a rotation in time.
    cacheable(res, 'public, max-age=60, stale-if-error=3600');
    res.setHeader('ETag', `"${hash('sha256', body, 'base64url')}"`);
    res.type('application/jwk-set+json').send(body);
  });

  router.post('/api/v1/auth/signing-keys/rotate', authenticator.required, async (_req, res) => {
    const caller = callerOf(res);
    requireLogin(caller);
    requireAdmin(caller);
    const kid = await keyring.rotate(actorOf(res));
    log.info({ kid, by: caller.userId }, 'the signing key was rotated');
    res.json({ kid });
  });
}
