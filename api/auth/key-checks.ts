import type { Request, Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { apiKeyHeaders, exchangedApiKey, validApiKey } from '../../contracts/http/auth.js';
import { requireKeysEnabled } from '../http/authenticate.js';
import { headerOf } from '../http/caller.js';
import { hashSecret } from '../http/key-cache.js';
import type { Operation } from '../http/openapi.js';
import { isoOrNull, type AuthContext } from './context.js';
import type { KeyHolder } from './ports.js';

const refusals = { 401: { description: 'The key is missing, unknown, expired or revoked' } };

export const keyCheckOperations: Operation[] = [
  {
    method: 'get',
    path: '/api/v1/auth/api-keys/validate',
    summary: 'Whose API key this is',
    tag: 'API keys',
    public: true,
    headers: apiKeyHeaders,
    responses: { 200: { description: 'Valid', schema: validApiKey }, ...refusals },
  },
  {
    method: 'post',
    path: '/api/v1/auth/api-keys/exchange',
    summary: 'Exchange an API key for a short-lived internal JWT; the key is its own proof',
    tag: 'API keys',
    public: true,
    headers: apiKeyHeaders,
    responses: { 200: { description: 'Valid', schema: exchangedApiKey }, ...refusals },
  },
];

export function keyCheckRoutes(router: Router, { config, keyProof, issuer }: AuthContext): void {
  const holderIn = async (req: Request): Promise<{ holder: KeyHolder; rawKey: string }> => {
    requireKeysEnabled(config);
    const rawKey = headerOf(req, 'x-api-key');
    if (rawKey === undefined) throw new Problem('UNAUTHENTICATED', 'Send the key in X-Api-Key');
    const holder = await keyProof.holderOf(rawKey);
    if (!holder) throw new Problem('UNAUTHENTICATED', 'The API key is unknown, expired or revoked');
    return { holder, rawKey };
  };

  router.get('/api/v1/auth/api-keys/validate', async (req, res) => {
    const { holder } = await holderIn(req);
    const { userId, name, orgId, expiresAt } = holder.key;
    res.json({ userId, name, orgId, expiresAt: isoOrNull(expiresAt), roles: holder.roles });
  });

  router.post('/api/v1/auth/api-keys/exchange', async (req, res) => {
    const { holder, rawKey } = await holderIn(req);
    const { token, expiresAt } = await issuer.forKey(holder, hashSecret(rawKey));
    res.json({ token, expiresAt: expiresAt.toISOString(), keyValidUntil: isoOrNull(holder.validUntil) });
  });
}
