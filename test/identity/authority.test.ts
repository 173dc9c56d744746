import assert from 'node:assert/strict';
import { listedOwner, organisationOf, sightOf, spendingOwner, usageVisibleTo } from '../../api/identity/authority.js';
import { requireSelf, type Caller, type Memberships } from '../../api/http/caller.js';
import { Problem } from '../../contracts/errors.js';

const ROLES: Record<string, Record<string, 'OWNER' | 'MEMBER'>> = {
  owner: { A: 'OWNER' },
  ada: { A: 'MEMBER', B: 'MEMBER' },
};
const memberships: Memberships = {
  isMember: async (userId, orgId) => ROLES[userId]?.[orgId] !== undefined,
  roleOf: async (userId, orgId) => ROLES[userId]?.[orgId] ?? null,
  orgsOf: async (userId) => Object.keys(ROLES[userId] ?? {}),
};
const caller = (userId: string, more: Partial<Caller> = {}): Caller => ({
  userId,
  username: userId,
  roles: ['USER'],
  apiKeyId: null,
  keyTier: null,
  ...more,
});
const CALLERS = {
  ada: caller('ada'),
  owner: caller('owner'),
  stranger: caller('stranger'),
  admin: caller('root', { roles: ['USER', 'ADMIN'] }),
  'key of ada': caller('ada', { apiKeyId: 'k' }),
  'key of ada for A': caller('ada', { apiKeyId: 'k', keyOrgId: 'A' }),
  'key of owner for A': caller('owner', { apiKeyId: 'k', keyOrgId: 'A' }),
};
type Who = keyof typeof CALLERS;

/** What it answers, or the status of its refusal. */
const outcome = async (ask: () => unknown): Promise<unknown> => {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Problem) return error.status;
    throw error;
  }
};

describe('authority', () => {
  const spends: [Who, { userId: string; orgId?: string | null }, unknown][] = [
    ['ada', { userId: 'ada' }, { userId: 'ada', orgId: null }],
    ['ada', { userId: 'ada', orgId: null }, { userId: 'ada', orgId: null }],
    ['ada', { userId: 'ada', orgId: 'A' }, { userId: 'ada', orgId: 'A' }],
    ['ada', { userId: 'owner' }, 403],
    ['stranger', { userId: 'stranger', orgId: 'A' }, 403],
    ['admin', { userId: 'ada', orgId: 'A' }, { userId: 'ada', orgId: 'A' }],
    ['key of ada', { userId: 'ada' }, { userId: 'ada', orgId: null }],
    ['key of ada for A', { userId: 'ada' }, { userId: 'ada', orgId: 'A' }],
    ['key of ada for A', { userId: 'ada', orgId: null }, { userId: 'ada', orgId: 'A' }],
    ['key of ada for A', { userId: 'ada', orgId: 'A' }, { userId: 'ada', orgId: 'A' }],
    ['key of ada for A', { userId: 'ada', orgId: 'B' }, 403],
    ['key of ada for A', { userId: 'owner', orgId: 'A' }, 403],
  ];
  for (const [who, asked, expected] of spends) {
    it(`${who} spends for ${JSON.stringify(asked)}: ${JSON.stringify(expected)}`, async () => {
      assert.deepEqual(await outcome(() => spendingOwner(memberships, CALLERS[who], asked)), expected);
    });
  }

  it('a bound key acts for its organisation, named or not, and not for its user', async () => {
    const key = CALLERS['key of ada for A'];
    assert.equal(await outcome(() => organisationOf(memberships, key, undefined)), 'A');
    assert.equal(await outcome(() => organisationOf(memberships, key, 'B')), 403);
    assert.equal(await outcome(() => organisationOf(memberships, CALLERS.ada, undefined)), 400);
    assert.equal(await outcome(() => requireSelf(key, 'ada')), 403);
    assert.deepEqual(await usageVisibleTo(memberships, key), { userId: null, orgIds: ['A'] });
  });

  const lists: [Who, { userId?: string; orgId?: string }, unknown][] = [
    ['ada', {}, { userId: 'ada', orgId: null }],
    ['ada', { userId: 'owner' }, 403],
    ['ada', { orgId: 'A' }, 403],
    ['ada', { orgId: 'A', userId: 'ada' }, { userId: 'ada', orgId: 'A' }],
    ['owner', { orgId: 'A' }, { userId: null, orgId: 'A' }],
    ['owner', { orgId: 'A', userId: 'ada' }, { userId: 'ada', orgId: 'A' }],
    ['owner', { orgId: 'B' }, 403],
    ['admin', { orgId: 'B' }, { userId: null, orgId: 'B' }],
    ['key of ada for A', {}, { userId: 'ada', orgId: 'A' }],
    ['key of ada for A', { orgId: 'B' }, 403],
    ['key of owner for A', {}, { userId: null, orgId: 'A' }],
  ];
  for (const [who, asked, expected] of lists) {
    it(`${who} lists ${JSON.stringify(asked)}: ${JSON.stringify(expected)}`, async () => {
      assert.deepEqual(await outcome(() => listedOwner(memberships, CALLERS[who], asked)), expected);
    });
  }

  const sights: [Who, string | null, string][] = [
    ['ada', null, 'ALL'],
    ['ada', 'A', 'ALL'],
    ['owner', null, 'NONE'],
    ['owner', 'A', 'EXPLANATION'],
    ['owner', 'B', 'NONE'],
    ['stranger', 'A', 'NONE'],
    ['admin', null, 'EXPLANATION'],
    ['key of ada', null, 'ALL'],
    ['key of ada for A', 'A', 'ALL'],
    ['key of ada for A', null, 'NONE'],
    ['key of ada for A', 'B', 'NONE'],
    ['key of owner for A', 'A', 'EXPLANATION'],
  ];
  for (const [who, orgId, expected] of sights) {
    it(`${who} sees of what ada did for ${orgId ?? 'herself'}: ${expected}`, async () => {
      assert.equal(await sightOf(memberships, CALLERS[who], { userId: 'ada', orgId }), expected);
    });
  }
});
