import assert from 'node:assert/strict';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { assertProblem, withAuth, type Answer } from './support.js';

const ORGS = '/api/v1/auth/orgs';
const MINE = '/api/v1/auth/invitations';
interface Person {
  userId: string;
  username: string;
  token: string;
}

describe('invitations', function () {
  this.timeout(60_000);
  const auth = withAuth();
  const org = async (owner: Person): Promise<string> => {
    const { status, body } = await auth().call('POST', ORGS, { token: owner.token, body: { name: 'Engines' } });
    assert.equal(status, 201, JSON.stringify(body));
    return body.orgId;
  };
  const invite = (by: Person, orgId: string, body: object = {}) =>
    auth().call('POST', `${ORGS}/${orgId}/invitations`, { token: by.token, body });
  const answer = (who: Person, ref: string, what: 'accept' | 'decline') =>
    auth().call('POST', `${MINE}/${ref}/${what}`, { token: who.token });
  const mine = async (who: Person) => (await auth().call('GET', MINE, { token: who.token })).body;
  const orgsOf = async (who: Person): Promise<string[]> =>
    (await auth().call('GET', ORGS, { token: who.token })).body.map(({ orgId }: { orgId: string }) => orgId);
  const tokenOf = ({ body }: Answer): string =>
    /\/invitations\/(inv_[\w-]{43})\/accept$/.exec(body.url as string)?.[1] ?? assert.fail(body.url);
  const people = async (count: number): Promise<Person[]> => {
    const made: Person[] = [];
    for (let number = 0; number < count; number++) made.push(await auth().register());
    return made;
  };

  it('nobody becomes a member without accepting; who is in may leave', async () => {
    const [owner, victim] = (await people(2)) as [Person, Person];
    const orgId = await org(owner);
    const invited = await auth().call('POST', `${ORGS}/${orgId}/members`, { token: owner.token, body: { userId: victim.userId } });
    assert.equal(invited.status, 202);
    assert.deepEqual(await orgsOf(victim), []);
    const [shown] = await mine(victim);
    assert.deepEqual([shown.id, shown.orgId, shown.orgName, shown.role], [invited.body.id, orgId, 'Engines', 'MEMBER']);
    const accepted = await answer(victim, shown.id, 'accept');
    assert.deepEqual([accepted.status, accepted.body.orgId, accepted.body.role], [200, orgId, 'MEMBER']);
    assert.deepEqual((await answer(victim, shown.id, 'accept')).body, accepted.body, 'a repeat has the same answer');
    assert.deepEqual([await orgsOf(victim), await mine(victim)], [[orgId], []]);
    const left = await auth().call('DELETE', `${ORGS}/${orgId}/members?userId=me`, { token: victim.token });
    assert.equal(left.status, 204);
    assert.deepEqual(await orgsOf(victim), []);
    assertProblem(await answer(victim, shown.id, 'accept'), 409, 'CONFLICT');
    const again = await auth().call('POST', `${ORGS}/${orgId}/members`, { token: owner.token, body: { username: victim.username } });
    await answer(victim, again.body.id, 'accept');
    const own = await auth().call('DELETE', `${ORGS}/${orgId}/members?userId=${victim.userId}`, { token: victim.token });
    assert.equal(own.status, 204, 'also by its own id');
  });

  it('a link is shown once, stored hashed, and is for one who has it; others need to be named', async () => {
    const [owner, named, finder, late] = (await people(4)) as [Person, Person, Person, Person];
    const orgId = await org(owner);
    const link = await invite(owner, orgId, { role: 'OWNER' });
    assert.deepEqual([link.status, link.body.userId, link.body.username], [201, null, null]);
    const token = tokenOf(link);
    const { rows } = await auth().pool.query(`SELECT i::text AS row FROM org_invitations i WHERE id = $1`, [link.body.id]);
    assert.ok(!rows[0].row.includes(token.slice(4)));
    assertProblem(await answer(finder, link.body.id, 'accept'), 404, 'NOT_FOUND');
    const [first, second] = await Promise.all([answer(finder, token, 'accept'), answer(late, token, 'accept')]);
    assert.deepEqual([first.status, second.status].sort(), [200, 409], 'a link lets in one');

    const byName = await invite(owner, orgId, { username: ` ${named.username.toUpperCase()} ` });
    assert.deepEqual([byName.status, byName.body.username, byName.body.userId], [201, named.username.toUpperCase(), null]);
    const [winner, loser] = first.status === 200 ? [finder, late] : [late, finder];
    for (const ref of [byName.body.id, tokenOf(byName)]) {
      assertProblem(await answer(loser, ref, 'accept'), 404, 'NOT_FOUND');
      assertProblem(await answer(loser, ref, 'decline'), 404, 'NOT_FOUND');
    }
    assert.equal((await answer(named, tokenOf(byName), 'accept')).status, 200);
    assert.deepEqual(await orgsOf(winner), [orgId]);
  });

  it('a name that nobody has gets the same answers as one that somebody has, until it is full', async () => {
    const [owner, victim] = (await people(2)) as [Person, Person];
    const shapeOf = ({ status, body }: Answer) => [status, body.code, Object.keys(body).sort(), body.userId, body.policy];
    for (let round = 0; round < 6; round++) {
      const orgId = await org(owner);
      const [real, ghost] = [
        await invite(owner, orgId, { username: victim.username }),
        await invite(owner, orgId, { username: 'no-such-person' }),
      ];
      assert.deepEqual(shapeOf(real), shapeOf(ghost));
      assert.equal(real.status, round < 5 ? 201 : 409, 'one inviter fills a quarter of the 20 places at most');
      assert.deepEqual(
        shapeOf(await invite(owner, orgId, { username: victim.username })),
        shapeOf(await invite(owner, orgId, { username: 'no-such-person' })),
      );
    }
    assert.equal((await mine(victim)).length, 5);
  });

  it('are at most 20 open ones a person, whatever is tried at once', async () => {
    const [victim, ...owners] = (await people(13)) as [Person, ...Person[]];
    const orgs = await Promise.all(owners.flatMap((owner) => Array.from({ length: 4 }, async () => ({ owner, orgId: await org(owner) }))));
    const answers = await Promise.all(orgs.map(({ owner, orgId }) => invite(owner, orgId, { userId: victim.userId })));
    assert.equal(answers.filter(({ status }) => status === 201).length, 20);
    for (const refused of answers.filter(({ status }) => status !== 201)) assertProblem(refused, 409, 'LIMIT_REACHED');
    assert.equal((await mine(victim)).length, 20);
    const [open] = await mine(victim);
    assert.equal((await answer(victim, open.id, 'decline')).status, 204);
    assert.equal((await answer(victim, open.id, 'decline')).status, 204, 'a repeat');
    assertProblem(await answer(victim, open.id, 'accept'), 409);
    assert.equal((await mine(victim)).length, 19);
  });

  it('are at most 100 open ones an organisation; they are listed in pages and can be revoked', async () => {
    const [owner, member] = (await people(2)) as [Person, Person];
    const orgId = await org(owner);
    const answers: Answer[] = [];
    for (let round = 0; round < 13; round++) answers.push(...(await Promise.all(Array.from({ length: 8 }, () => invite(owner, orgId)))));
    assert.equal(answers.filter(({ status }) => status === 201).length, 100);
    const refused = answers.find(({ status }) => status !== 201) as Answer;
    assertProblem(refused, 409, 'LIMIT_REACHED');
    assert.deepEqual([refused.body.policy, refused.body.limit, refused.body.used], ['open-invitations', 100, 100]);

    const seen = new Set<string>();
    let path: string | null = `${ORGS}/${orgId}/invitations?limit=30`;
    while (path !== null) {
      const page: Answer = await auth().call('GET', path, { token: owner.token });
      assert.ok(page.body.length <= 30);
      for (const { id } of page.body as { id: string }[]) seen.add(id);
      assert.ok(!JSON.stringify(page.body).includes('inv_'), 'no links');
      path = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1] ?? null;
    }
    assert.equal(seen.size, 100);
    const [id] = seen;
    assertProblem(await auth().call('GET', `${ORGS}/${orgId}/invitations`, { token: member.token }), 403);
    assertProblem(await auth().call('DELETE', `${ORGS}/${orgId}/invitations/${id}`, { token: member.token }), 403);
    assert.equal((await auth().call('DELETE', `${ORGS}/${orgId}/invitations/${id}`, { token: owner.token })).status, 204);
    assert.equal((await auth().call('DELETE', `${ORGS}/${orgId}/invitations/${id}`, { token: owner.token })).status, 204);
    assert.equal((await invite(owner, orgId)).status, 201);
  });

  it('end with their time, and with the right of who made them', async () => {
    const [owner, second, guest] = (await people(3)) as [Person, Person, Person];
    const orgId = await org(owner);
    const soon = await invite(owner, orgId, { expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
    await auth().pool.query(`UPDATE org_invitations SET expires_at = now() WHERE id = $1`, [soon.body.id]);
    assertProblem(await answer(guest, tokenOf(soon), 'accept'), 409, 'CONFLICT');
    for (const expiresAt of [new Date(Date.now() - 1_000).toISOString(), new Date(Date.now() + 40 * 86_400_000).toISOString(), 'soon']) {
      assertProblem(await invite(owner, orgId, { expiresAt }), 400);
    }
    assert.equal((await answer(second, tokenOf(await invite(owner, orgId, { role: 'OWNER' })), 'accept')).status, 200);
    const [back, open] = [await invite(owner, orgId, { role: 'OWNER' }), await invite(owner, orgId, { userId: guest.userId })];
    await auth().call('DELETE', `${ORGS}/${orgId}/members?userId=${owner.userId}`, { token: second.token });
    assertProblem(await answer(owner, tokenOf(back), 'accept'), 409, 'CONFLICT');
    assertProblem(await answer(guest, open.body.id, 'accept'), 409, 'CONFLICT');
    assert.deepEqual(await mine(guest), []);
  });

  it('need a login and a valid body', async () => {
    const [owner, guest] = (await people(2)) as [Person, Person];
    const orgId = await org(owner);
    const { rawKey } = await auth().createKey(owner);
    assertProblem(await auth().call('POST', `${ORGS}/${orgId}/invitations`, { key: rawKey, body: {} }), 403);
    assertProblem(await auth().call('POST', `${ORGS}/${orgId}/invitations`, { body: {} }), 401);
    assertProblem(await invite(guest, orgId), 403);
    assertProblem(await invite(owner, orgId, { userId: guest.userId, username: guest.username }), 400);
    assertProblem(await invite(owner, orgId, { role: 'KING' }), 400);
    assertProblem(await invite(owner, orgId, { userId: owner.userId }), 409, 'CONFLICT');
    assertProblem(await answer(guest, 'nothing', 'accept'), 404);
    assertProblem(await answer(guest, '%00', 'accept'), 400);
  });

  describe('deleting an organisation', () => {
    const remove = (by: { token: string }, orgId: string) => auth().call('DELETE', `${ORGS}/${orgId}`, { token: by.token });

    it('ends its memberships, keys and invitations, when it owns nothing', async () => {
      const [owner, member] = (await people(2)) as [Person, Person];
      const orgId = await org(owner);
      const link = await invite(owner, orgId);
      await answer(member, tokenOf(link), 'accept');
      const { rawKey } = await auth().createKey(member, { orgId });
      assertProblem(await remove(member, orgId), 403);
      assert.equal((await remove(owner, orgId)).status, 204);
      assertProblem(await remove(owner, orgId), 403);
      assertProblem(await remove({ token: await auth().adminToken() }, orgId), 404);
      assert.deepEqual([await orgsOf(owner), await orgsOf(member)], [[], []]);
      assertProblem(await auth().call('GET', '/api/v1/auth/api-keys/validate', { key: rawKey }), 401);
    });

    it('is refused while it has tokens or an open purchase, and says which', async () => {
      const [owner] = (await people(1)) as [Person];
      const orgId = await org(owner);
      const pool = { ownerKind: 'org', ownerId: orgId, provider: 'openai' } as const;
      const quota = createQuotaStore(auth().pool);
      await quota.setTotal(pool, 70);
      const refused = await remove(owner, orgId);
      assertProblem(refused, 409, 'CONFLICT');
      assert.match(refused.body.detail, /70 openai tokens/);
      await quota.setTotal(pool, 0);
      const ledger = createPurchaseLedger(auth().pool);
      const sagaId = '00000000-0000-4000-8000-00000000000a';
      await ledger.allocate(sagaId, pool, 50);
      assert.match((await remove(owner, orgId)).body.detail, /50 openai tokens that are being bought/);
      await ledger.void(sagaId);
      assert.equal((await remove(owner, orgId)).status, 204);
      await assert.rejects(ledger.allocate('00000000-0000-4000-8000-00000000000b', pool, 50), /was deleted/, 'a purchase that comes late');
    });
  });
});

describe('bounds of an account', function () {
  this.timeout(60_000);
  const auth = withAuth({
    LEAKY_ORGS_PER_USER: '3',
    LEAKY_KEYS_PER_USER: '4',
    LEAKY_MEMBERS_PER_ORG: '3',
    LEAKY_MEMBERSHIPS_PER_USER: '4',
  });
  const assertBounded = (answers: readonly Answer[], made: number, policy: string) => {
    assert.equal(answers.filter(({ status }) => status < 300).length, made);
    for (const refused of answers.filter(({ status }) => status >= 300)) {
      assertProblem(refused, 409, 'LIMIT_REACHED');
      assert.deepEqual([refused.body.policy, refused.body.limit, refused.body.used], [policy, made, made]);
    }
  };

  it('organisations: fifty at once make three', async () => {
    const { token } = await auth().register();
    const made = await Promise.all(Array.from({ length: 50 }, () => auth().call('POST', ORGS, { token, body: { name: 'x' } })));
    assertBounded(made, 3, 'organisations');
    const deleted = made.find(({ status }) => status === 201)?.body.orgId;
    assert.equal((await auth().call('DELETE', `${ORGS}/${deleted}`, { token })).status, 204);
    assert.equal((await auth().call('POST', ORGS, { token, body: { name: 'x' } })).status, 201, 'one that was deleted makes room');
  });

  it('API keys: fifty at once make four', async () => {
    const { token, userId } = await auth().register();
    const body = { userId, name: 'x' };
    assertBounded(
      await Promise.all(Array.from({ length: 50 }, () => auth().call('POST', '/api/v1/auth/api-keys', { token, body }))),
      4,
      'api-keys',
    );
  });

  it('members: ten links accepted at once make two more, and an account is in four organisations at most', async () => {
    const [owner, ...guests] = await Promise.all(Array.from({ length: 11 }, () => auth().register()));
    const { body: org } = await auth().call('POST', ORGS, { token: owner?.token as string, body: { name: 'x' } });
    const links = await Promise.all(
      guests.map(() => auth().call('POST', `${ORGS}/${org.orgId}/invitations`, { token: owner?.token as string, body: {} })),
    );
    const accepted = await Promise.all(
      links.map(({ body }, index) => auth().call('POST', new URL(body.url as string).pathname, { token: guests[index]?.token as string })),
    );
    assert.equal(accepted.filter(({ status }) => status === 200).length, 2);
    for (const { status, body } of accepted.filter((one) => one.status !== 200)) {
      assert.deepEqual([status, body.code, body.policy, body.limit, body.used], [409, 'LIMIT_REACHED', 'members', 3, 3]);
    }

    const joiner = await auth().register();
    const owners = await Promise.all(Array.from({ length: 6 }, () => auth().register()));
    const joined = await Promise.all(
      owners.map(async ({ token }) => {
        const made = await auth().call('POST', ORGS, { token, body: { name: 'x' } });
        const link = await auth().call('POST', `${ORGS}/${made.body.orgId}/invitations`, { token, body: {} });
        return auth().call('POST', new URL(link.body.url as string).pathname, { token: joiner.token });
      }),
    );
    assertBounded(joined, 4, 'memberships');
  });

  it('lists of keys, organisations and members come in pages and stay arrays', async () => {
    const owner = await auth().register();
    for (let number = 0; number < 4; number++) await auth().createKey(owner, { name: `key ${number}` });
    const first = await auth().call('GET', `/api/v1/auth/api-keys?userId=${owner.userId}&limit=3`, { token: owner.token });
    assert.deepEqual(
      first.body.map(({ name }: { name: string }) => name),
      ['key 3', 'key 2', 'key 1'],
    );
    const next = /^<(.+)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1] ?? assert.fail('no link');
    assert.match(first.headers.get('access-control-expose-headers') ?? '', /\bLink\b/);
    const second = await auth().call('GET', next, { token: owner.token });
    assert.deepEqual([second.body.length, second.body[0].name, second.headers.get('link')], [1, 'key 0', null]);
    for (let number = 0; number < 3; number++) await auth().call('POST', ORGS, { token: owner.token, body: { name: `${number}` } });
    const orgs = await auth().call('GET', `${ORGS}?limit=2`, { token: owner.token });
    assert.ok(orgs.body.length === 2 && orgs.headers.get('link'));
    const members = await auth().call('GET', `${ORGS}/${orgs.body[0].orgId}/members?limit=1`, { token: owner.token });
    assert.deepEqual([members.body.length, members.headers.get('link')], [1, null]);
    for (const query of ['limit=0', 'limit=201', 'cursor=x']) {
      assertProblem(await auth().call('GET', `${ORGS}?${query}`, { token: owner.token }), 400);
    }
  });
});
