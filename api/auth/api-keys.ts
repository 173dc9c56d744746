import { randomBytes } from 'node:crypto';
import type { Router } from 'express';
import { v7 } from 'uuid';
import { Problem } from '../../contracts/errors.js';
import {
  apiKeyParams,
  createApiKeyBody,
  createdApiKey,
  deleteApiKeyQuery,
  listApiKeysQuery,
  listedApiKeys,
  rotateApiKeyBody,
} from '../../contracts/http/auth.js';
import { API_KEY_RANDOM_BYTES, formatApiKey } from '../../domain/api-key.js';
import { actorOf, callerOf, isAdmin, requireSelf } from '../http/caller.js';
import { hashSecret } from '../http/key-cache.js';
import type { Operation } from '../http/openapi.js';
import { sendPage, wanted } from '../http/pages.js';
import { announce, isLimit, isoOrNull, limitProblem, requireLogin, type AuthContext } from './context.js';
import type { ApiKey } from './ports.js';

const PATH = '/api/v1/auth/api-keys';
const tag = 'API keys';
const refusals = { 400: { description: 'Invalid' }, 401: { description: 'Not authenticated' }, 403: { description: 'Not yours' } };

export const apiKeyOperations: Operation[] = [
  {
    method: 'post',
    path: PATH,
    summary: 'Create an API key; the key itself is shown this once',
    tag,
    body: createApiKeyBody,
    responses: {
      201: { description: 'Created', schema: createdApiKey },
      ...refusals,
      404: { description: 'No such user' },
      409: { description: 'The user has as many keys as one may (LIMIT_REACHED)' },
    },
  },
  {
    method: 'get',
    path: PATH,
    summary: 'List the API keys of a user, newest first; a next page is in the header Link',
    tag,
    query: listApiKeysQuery,
    responses: { 200: { description: 'The keys, without their secrets', schema: listedApiKeys }, ...refusals },
  },
  {
    method: 'delete',
    path: PATH,
    summary: 'Revoke an API key; it stops working everywhere within a second',
    tag,
    query: deleteApiKeyQuery,
    responses: { 204: { description: 'Revoked' }, ...refusals, 404: { description: 'No such key' } },
  },
  {
    method: 'post',
    path: `${PATH}/{id}/rotate`,
    summary: 'Replace the secret of an API key; the old one works for the grace',
    tag,
    params: apiKeyParams,
    body: rotateApiKeyBody,
    responses: {
      200: { description: 'The new secret, shown this once', schema: createdApiKey },
      ...refusals,
      404: { description: 'No such key' },
      409: { description: 'The key has expired' },
    },
  },
];

export function apiKeyRoutes(router: Router, { accounts, revocations, authenticator }: AuthContext): void {
  const { apiKeys } = accounts;

  router.post(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const body = createApiKeyBody.parse(req.body);
    requireLogin(caller);
    requireSelf(caller, body.userId);
    if (body.tier && !isAdmin(caller)) throw new Problem('FORBIDDEN', 'Only an ADMIN gives a key a tier');
    const expiresAt = body.expiresAt ? new Date(body.expiresAt) : null;
    if (expiresAt && expiresAt.getTime() <= Date.now()) throw invalid('expiresAt', 'must be in the future');
    const rawKey = newSecret(body.userId);
    const created = await apiKeys.create(
      {
        id: v7(),
        userId: body.userId,
        orgId: body.orgId ?? null,
        name: body.name,
        tier: body.tier ?? null,
        expiresAt,
        secretHash: hashSecret(rawKey),
      },
      actorOf(res),
    );
    if (isLimit(created)) throw limitProblem(created);
    if (created === 'NO_SUCH_USER') throw new Problem('NOT_FOUND', 'There is no such user');
    if (created === 'NOT_A_MEMBER') throw new Problem('FORBIDDEN', 'The key’s owner is not a member of this organisation');
    res.status(201).json(withSecret(created, rawKey));
  });

  router.get(PATH, authenticator.required, async (req, res) => {
    const { userId, ...page } = listApiKeysQuery.parse(req.query);
    requireSelf(callerOf(res), userId);
    const keys = await apiKeys.list(userId, wanted(page));
    sendPage(
      req,
      res,
      keys,
      page.limit,
      ({ id }) => id,
      ({ id, name, orgId, createdAt, expiresAt, lastUsedAt }) => ({
        id,
        name,
        orgId,
        createdAt: createdAt.toISOString(),
        expiresAt: isoOrNull(expiresAt),
        lastUsedAt: isoOrNull(lastUsedAt),
      }),
    );
  });

  router.delete(PATH, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { userId, apiKeyId } = deleteApiKeyQuery.parse(req.query);
    requireLogin(caller);
    requireSelf(caller, userId);
    const endings = await apiKeys.remove(userId, apiKeyId, actorOf(res));
    if (!endings) throw noSuchKey();
    await announce(revocations, endings);
    res.status(204).end();
  });

  router.post(`${PATH}/:id/rotate`, authenticator.required, async (req, res) => {
    const caller = callerOf(res);
    const { id } = apiKeyParams.parse(req.params);
    const { graceSeconds } = rotateApiKeyBody.parse(req.body ?? {});
    requireLogin(caller);
    const key = await apiKeys.byId(id);
    // Someone else's key is not told apart from none.
    if (!key || (key.userId !== caller.userId && !isAdmin(caller))) throw noSuchKey();
    if (key.expiresAt && key.expiresAt.getTime() <= Date.now()) throw new Problem('CONFLICT', 'The key has expired; create a new one');
    const rawKey = newSecret(key.userId);
    const endings = await apiKeys.rotate(id, hashSecret(rawKey), new Date(Date.now() + graceSeconds * 1_000), actorOf(res));
    if (!endings) throw noSuchKey();
    await announce(revocations, endings);
    res.json(withSecret(key, rawKey));
  });
}

const newSecret = (userId: string): string => formatApiKey(userId, randomBytes(API_KEY_RANDOM_BYTES));
const noSuchKey = () => new Problem('NOT_FOUND', 'There is no such API key');
const invalid = (field: string, message: string) =>
  new Problem('INVALID_REQUEST', `${field}: ${message}`, { errors: [{ field, message }] });

const withSecret = (key: ApiKey, rawKey: string) => ({
  id: key.id,
  userId: key.userId,
  name: key.name,
  createdAt: key.createdAt.toISOString(),
  expiresAt: isoOrNull(key.expiresAt),
  rawKey,
});
