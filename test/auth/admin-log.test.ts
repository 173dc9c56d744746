import assert from 'node:assert/strict';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { assertProblem, withAuth } from './support.js';

const LOG = '/api/v1/auth/admin-log';
const ORGS = '/api/v1/auth/orgs';
const KEYS = '/api/v1/auth/api-keys';

interface Entry {
  actor: string;
  action: string;
  target: { kind: string; id: string };
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  correlationId: string | null;
}

/** Tables of accounts and terms whose changes are logged by something else than a trigger of their own, or need no log: why. */
const WITHOUT_TRIGGER: Record<string, string> = {
  admin_log: 'is the log',
  roles: 'only migrations change it',
  deleted_orgs: 'follows from orgs',
  api_key_endings: 'follows from api_keys',
  user_endings: 'follows from users and user_roles',
  pools: 'every call changes it; totals are logged by the quota store',
  token_pools: 'a partition of pools',
  token_org_pools: 'a partition of pools',
  schema_migrations: 'only migrations change it',
};
/** What services record of calls, payments and usage; nobody sets it */
const RECORDS = /^(ledger_entries|consumptions|allocations|token_purchase_saga|sim_payment|payment|purchase_|usage_|postponed_usage)/;

describe('the admin log', function () {
  this.timeout(30_000);
  const auth = withAuth();
  const entries = async (target: string): Promise<Entry[]> => {
    const { status, body } = await auth().call('GET', `${LOG}?target=${target}`, { token: await auth().adminToken() });
    assert.equal(status, 200, JSON.stringify(body));
    return body.items;
  };
  const brief = (entry: Entry | undefined) => entry && [entry.action, entry.actor, entry.before, entry.after];

  it('names who, what, old and new value and the correlation id of every change over HTTP', async () => {
    const [owner, admin] = [await auth().register(), await auth().adminToken()];
    const { body: org } = await auth().call('POST', ORGS, {
      token: owner.token,
      body: { name: 'Engines' },
      headers: { 'X-Correlation-Id': 'made-by-the-test' },
    });
    const made = await entries(org.orgId);
    assert.deepEqual(made.map(({ action }) => action).sort(), ['member.created', 'org.created']);
    assert.deepEqual([...new Set(made.map(({ actor }) => actor))], [owner.userId]);
    assert.deepEqual([...new Set(made.map(({ correlationId }) => correlationId))], ['made-by-the-test']);

    const key = await auth().createKey(owner, { name: 'of the log' });
    await auth().call('POST', `${KEYS}/${key.id}/rotate`, { token: owner.token, body: {} });
    await auth().call('DELETE', `${KEYS}?userId=${owner.userId}&apiKeyId=${key.id}`, { token: owner.token });
    assert.deepEqual(
      (await entries(key.id)).map(({ action }) => action),
      ['key.removed', 'key.rotated', 'key.created'],
    );
    const all = JSON.stringify(await entries(owner.userId));
    assert.ok(!all.includes(key.rawKey) && !/hash|jwk|password/i.test(all), 'no secret');

    await auth().call('POST', '/api/v1/auth/signing-keys/rotate', { token: admin });
    const { rows } = await auth().pool.query<{ kid: string }>('SELECT kid FROM signing_keys WHERE retired_at IS NULL');
    const [rotated] = await entries(rows[0]?.kid ?? '');
    assert.equal(rotated?.action, 'signing_key.created');
    assert.notEqual(rotated?.actor, 'database');
  });

  it('has tiers and totals with old and new value', async () => {
    const { userId } = await auth().register();
    const by = { userId: 'an-admin', correlationId: 'c-1' };
    const quota = createQuotaStore(auth().pool);
    await quota.setPolicy('user', userId, { tier: 'FREE', zone: 'UTC', custom: null }, by);
    await quota.setPolicy('user', userId, { tier: 'GOLD', zone: 'UTC', custom: null }, by);
    await quota.setTotal({ ownerKind: 'user', ownerId: userId, provider: 'openai' }, 200_000, by);
    const [total, gold, free] = await entries(userId);
    assert.deepEqual(brief(total)?.slice(0, 2), ['total.changed', 'an-admin']);
    assert.deepEqual([total?.before?.['totalTokens'], total?.after?.['totalTokens']], [100_000, 200_000]);
    assert.deepEqual([gold?.action, gold?.before?.['tier'], gold?.after?.['tier']], ['tier.changed', 'FREE', 'GOLD']);
    assert.deepEqual([free?.action, free?.before, free?.after?.['tier'], free?.correlationId], ['tier.created', null, 'FREE', 'c-1']);
  });

  it('a change without an actor is logged as by the database, also a role; a change that rolls back is not', async () => {
    const { userId } = await auth().register();
    await auth().pool.query(`INSERT INTO user_roles (user_id, role) VALUES ($1, 'ADMIN')`, [userId]);
    await auth().pool.query(`DELETE FROM user_roles WHERE user_id = $1 AND role = 'ADMIN'`, [userId]);
    const expected = [
      ['role.removed', 'database', { role: 'ADMIN' }, null],
      ['role.created', 'database', null, { role: 'ADMIN' }],
    ];
    assert.deepEqual((await entries(userId)).map(brief), expected);
    await assert.rejects(
      auth().pool.query(`DO $$ BEGIN DELETE FROM user_roles WHERE user_id = '${userId}'; RAISE EXCEPTION 'no'; END $$`),
      /no/,
    );
    assert.equal((await entries(userId)).length, 2);
  });

  it('is append-only', async () => {
    await auth().register();
    await assert.rejects(auth().pool.query(`UPDATE admin_log SET actor = 'somebody else'`), /append-only/);
    await assert.rejects(auth().pool.query('DELETE FROM admin_log'), /append-only/);
    await assert.rejects(auth().pool.query('TRUNCATE admin_log'), /append-only/);
  });

  it('is for ADMIN, in pages, and refuses filters it does not know how to read', async () => {
    const { token, userId } = await auth().register();
    assertProblem(await auth().call('GET', LOG), 401);
    assertProblem(await auth().call('GET', LOG, { token }), 403, 'FORBIDDEN');
    for (let number = 0; number < 5; number++) await auth().call('POST', ORGS, { token, body: { name: `org ${number}` } });
    const admin = await auth().adminToken();
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const path = `${LOG}?actor=${userId}&action=org.created&limit=2${cursor === null ? '' : `&cursor=${cursor}`}`;
      const { status, body } = await auth().call('GET', path, { token: admin });
      assert.equal(status, 200);
      seen.push(...body.items.map((entry: Entry) => entry.after?.['name']));
      cursor = body.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(seen, ['org 4', 'org 3', 'org 2', 'org 1', 'org 0']);
    for (const query of ['cursor=abc', 'limit=0', 'limit=201', 'from=yesterday', `actor=${'a'.repeat(101)}`, 'target=%00']) {
      assertProblem(await auth().call('GET', `${LOG}?${query}`, { token: admin }), 400);
    }
  });

  it('every table of accounts and terms has a trigger that writes it, or a reason why not', async () => {
    const { rows } = await auth().pool.query<{ name: string; logged: boolean }>(
      `SELECT c.relname AS name, EXISTS (SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                                          WHERE t.tgrelid = c.oid AND p.proname = 'log_row_change') AS logged
         FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1`,
    );
    const forgotten = rows.filter(({ name, logged }) => !logged && !(name in WITHOUT_TRIGGER) && !RECORDS.test(name));
    assert.deepEqual(forgotten, [], 'give each a trigger (migrations/0005_consent.sql) or say here why it needs none');
  });
});
