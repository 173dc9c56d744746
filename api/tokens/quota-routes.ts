import { Router } from 'express';
import { Problem } from '../../contracts/errors.js';
import { orgQuotaBody, orgQuotaQuery, ownerParams, policyBody, quotaQuery } from '../../contracts/http/tokens.js';
import type { PoolKey } from '../../contracts/temporal.js';
import { actorOf, callerOf, requireAdmin, requireMember, requireSelf, type Memberships } from '../http/caller.js';
import { organisationOf } from '../identity/authority.js';
import { requireOwner } from './owners.js';
import type { PoolSnapshot, QuotaStore, TotalSet } from './ports.js';

/** Balances for their owners; totals, tiers and zones for an ADMIN. */
export function quotaRoutes(quota: QuotaStore, memberships: Memberships): Router {
  const router = Router();

  router.get('/api/v1/tokens/quota', async (req, res) => {
    const { userId, provider } = quotaQuery.parse(req.query);
    requireSelf(callerOf(res), userId);
    res.json({ userId, ...(await balance(quota, { ownerKind: 'user', ownerId: userId, provider })) });
  });

  router.get('/api/v1/tokens/quota/org', async (req, res) => {
    const { orgId: asked, provider } = orgQuotaQuery.parse(req.query);
    const orgId = await organisationOf(memberships, callerOf(res), asked);
    res.json({ orgId, ...(await balance(quota, { ownerKind: 'org', ownerId: orgId, provider })) });
  });

  router.post('/api/v1/tokens/quota/org', async (req, res) => {
    requireAdmin(callerOf(res));
    const { orgId, provider, totalTokens } = orgQuotaBody.parse(req.body);
    await requireOwner(quota, 'org', orgId);
    const set = await quota.setTotal({ ownerKind: 'org', ownerId: orgId, provider }, totalTokens, actorOf(res));
    if (!set.ok) throw new Problem('CONFLICT', TOTAL_REFUSED[set.reason]);
    res.status(set.created ? 201 : 200).json({ orgId, provider, ...members(set.snapshot) });
  });

  router.put('/api/v1/tokens/tiers/:ownerKind/:ownerId', async (req, res) => {
    requireAdmin(callerOf(res));
    const { ownerKind, ownerId } = ownerParams.parse(req.params);
    const { tier, zone, custom } = policyBody.parse(req.body);
    const kind = ownerKind === 'users' ? 'user' : 'org';
    await requireOwner(quota, kind, ownerId);
    await quota.setPolicy(kind, ownerId, { tier, zone, custom: custom ?? null }, actorOf(res));
    res.json({ ownerKind: kind, ownerId, ...(await quota.policyOf(kind, ownerId)) });
  });

  router.get('/api/v1/tokens/tiers/:ownerKind/:ownerId', async (req, res) => {
    const { ownerKind, ownerId } = ownerParams.parse(req.params);
    if (ownerKind === 'users') requireSelf(callerOf(res), ownerId);
    else await requireMember(memberships, callerOf(res), ownerId);
    const kind = ownerKind === 'users' ? 'user' : 'org';
    res.json({ ownerKind: kind, ownerId, ...(await quota.policyOf(kind, ownerId)) });
  });

  return router;
}

const TOTAL_REFUSED: Record<Extract<TotalSet, { ok: false }>['reason'], string> = {
  IN_USE: 'More tokens are used or held than this total leaves',
  TOO_MUCH: 'This pool has been given as many tokens as can be counted exactly; take the total of another pool',
};

async function balance(quota: QuotaStore, pool: PoolKey) {
  const snapshot = await quota.read(pool);
  if (!snapshot) throw new Problem('NOT_FOUND', 'There is no such pool: it exists from the first purchase or allowance on');
  return { provider: pool.provider, ...members(snapshot) };
}

const members = (snapshot: PoolSnapshot) => ({
  totalTokens: snapshot.totalTokens,
  remainingTokens: snapshot.remainingTokens,
  reservedTokens: snapshot.reservedTokens,
  resetTime: snapshot.resetAt.toISOString(),
  updatedAt: snapshot.updatedAt.toISOString(),
});
