import assert from 'node:assert/strict';
import { decodeJwt } from 'jose';
import { createMemberships } from '../../adapters/postgres/memberships.js';
import { PASSWORD, assertProblem, within, withAuth } from './support.js';

const ORGS = '/api/v1/auth/orgs';
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
interface Person {
  userId: string;
  username: string;
  token: string;
}

describe('organisations', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const createOrg = async (owner: Person): Promise<string> => {
    const { status, body } = await auth().call('POST', ORGS, { token: owner.token, body: { name: 'Analytical Engines' } });
    assert.equal(status, 201);
    return body.orgId;
  };
  const members = (orgId: string) => `${ORGS}/${orgId}/members`;
  const put = (by: Person | { token: string }, orgId: string, userId: string, role?: string) =>
    auth().call('POST', members(orgId), { token: by.token, body: { userId, ...(role && { role }) } });
  /** Invited by an OWNER, and accepted */
  const join = async (by: Person, orgId: string, person: Person, role?: string) => {
    const invited = await put(by, orgId, person.userId, role);
    assert.equal(invited.status, 202, JSON.stringify(invited.body));
    const accepted = await auth().call('POST', `/api/v1/auth/invitations/${invited.body.id}/accept`, { token: person.token });
    assert.equal(accepted.status, 200, JSON.stringify(accepted.body));
  };
  const remove = (by: Person, orgId: string, userId: string) =>
    auth().call('DELETE', `${members(orgId)}?userId=${userId}`, { token: by.token });

  it('the creator is OWNER; tokens do not grow with the organisations of their owner', async () => {
    const owner = await auth().register();
    const orgId = await createOrg(owner);
    const mine = await auth().call('GET', ORGS, { token: owner.token });
    assert.equal(mine.body.length, 1);
    assert.deepEqual([mine.body[0].orgId, mine.body[0].role], [orgId, 'OWNER']);
    const login = await auth().call('POST', '/api/v1/auth/login', { body: { username: owner.username, password: PASSWORD } });
    assert.equal('orgs' in decodeJwt(login.body.token), false);
    const exchanged = await auth().call('POST', '/api/v1/auth/api-keys/exchange', { key: (await auth().createKey(owner)).rawKey });
    assert.equal('orgs' in decodeJwt(exchanged.body.token), false);
  });

  it('an OWNER invites (202), changes (200), lists and removes (204) members; an ADMIN adds them (201)', async () => {
    const [owner, member] = [await auth().register(), await auth().register()];
    const orgId = await createOrg(owner);
    await join(owner, orgId, member);
    const changed = await put(owner, orgId, member.userId, 'OWNER');
    assert.deepEqual([changed.status, changed.body.role, changed.body.username], [200, 'OWNER', member.username]);
    const list = await auth().call('GET', members(orgId), { token: member.token });
    assert.deepEqual(new Set(list.body.map((row: Person) => row.userId)), new Set([owner.userId, member.userId]));
    assert.equal((await remove(owner, orgId, member.userId)).status, 204);
    assertProblem(await remove(owner, orgId, member.userId), 404);
    const admin = { token: await auth().adminToken() };
    assert.equal((await put(admin, orgId, member.userId)).status, 201);
    assertProblem(await put(admin, UNKNOWN_ID, member.userId), 404);
  });

  it('a MEMBER manages nobody, a stranger sees nothing', async () => {
    const [owner, member, stranger] = [await auth().register(), await auth().register(), await auth().register()];
    const orgId = await createOrg(owner);
    await join(owner, orgId, member);
    assertProblem(await put(member, orgId, stranger.userId), 403);
    assertProblem(await put(member, orgId, member.userId, 'OWNER'), 403);
    assertProblem(await remove(member, orgId, owner.userId), 403);
    assertProblem(await put(stranger, orgId, stranger.userId, 'OWNER'), 403);
    assertProblem(await auth().call('GET', members(orgId), { token: stranger.token }), 403);
    assertProblem(await auth().call('GET', members(orgId)), 401);
  });

  it('the last owner is neither removed nor demoted, even when two leave at once', async () => {
    const [a, b] = [await auth().register(), await auth().register()];
    const orgId = await createOrg(a);
    assertProblem(await remove(a, orgId, a.userId), 409, 'CONFLICT');
    assertProblem(await put(a, orgId, a.userId, 'MEMBER'), 409, 'CONFLICT');
    await join(a, orgId, b, 'OWNER');
    const statuses = (await Promise.all([remove(a, orgId, a.userId), remove(b, orgId, b.userId)])).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 204).length, 1, statuses.join());
    const { rows } = await auth().pool.query(`SELECT 1 FROM org_members WHERE org_id = $1 AND role = 'OWNER'`, [orgId]);
    assert.equal(rows.length, 1);
  });

  it('bad input: a 4xx problem', async () => {
    const owner = await auth().register();
    const orgId = await createOrg(owner);
    for (const body of [{}, { name: '' }, { name: 5 }, { name: 'x'.repeat(101) }, []]) {
      assertProblem(await auth().call('POST', ORGS, { token: owner.token, body }), 400);
    }
    assertProblem(await auth().call('POST', members('mine'), { token: owner.token, body: { userId: owner.userId } }), 400);
    assertProblem(await put(owner, orgId, 'somebody'), 400);
    assertProblem(await put(owner, orgId, owner.userId, 'KING'), 400);
    assertProblem(await put(owner, orgId, UNKNOWN_ID), 404);
    assertProblem(await remove(owner, orgId, 'somebody'), 400);
    assertProblem(await put(owner, UNKNOWN_ID, owner.userId), 403);
  });

  it('a key bound to an organisation needs a member and ends with the membership', async () => {
    const [owner, member] = [await auth().register(), await auth().register()];
    const orgId = await createOrg(owner);
    const body = { userId: member.userId, name: 'bound', orgId };
    assertProblem(await auth().call('POST', '/api/v1/auth/api-keys', { token: member.token, body }), 403);
    await join(owner, orgId, member);
    const { rawKey } = await auth().createKey(member, { orgId });
    const exchanged = await auth().call('POST', '/api/v1/auth/api-keys/exchange', { key: rawKey });
    assert.equal(decodeJwt(exchanged.body.token).keyOrgId, orgId);
    await remove(owner, orgId, member.userId);
    assertProblem(await auth().call('GET', ORGS, { key: rawKey }), 401);
    assertProblem(await auth().call('GET', ORGS, { token: exchanged.body.token }), 401);
  });

  it('memberships: one that begins counts at once, one that ends counts for the cache’s age at most', async () => {
    const [owner, member] = [await auth().register(), await auth().register()];
    const orgId = await createOrg(owner);
    const memberships = createMemberships(auth().pool);
    assert.equal(await memberships.isMember(member.userId, orgId), false);
    await join(owner, orgId, member);
    assert.equal(await memberships.isMember(member.userId, orgId), true);
    assert.deepEqual(await memberships.orgsOf(member.userId), [orgId]);
    await remove(owner, orgId, member.userId);
    await within(1_000, async () => !(await memberships.isMember(member.userId, orgId)));
  });
});
