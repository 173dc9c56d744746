import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { createPurchaseLedger } from '../../adapters/postgres/ledger-purchases.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { buy, poolRow, userPool } from '../support/consumptions.js';
import { withDatabase } from '../support/postgres.js';

describe('quota store', () => {
  const database = withDatabase();
  const store = () => createQuotaStore(database().pool);
  const purchases = () => createPurchaseLedger(database().pool);
  const tier = (name: 'STANDARD' | 'FREE' | 'BRONZE') => ({ tier: name, zone: 'UTC', custom: null });

  it('a tier with an allowance opens a pool for every provider and grants it once', async () => {
    const { ownerId } = userPool();
    await store().setPolicy('user', ownerId, tier('FREE'));
    await store().setPolicy('user', ownerId, tier('FREE'));
    for (const provider of ['openai', 'gemini', 'qwen'] as const) {
      assert.equal((await store().read({ ownerKind: 'user', ownerId, provider }))?.remainingTokens, 100);
    }
  });

  it('a higher tier tops the running window up; a lower one takes nothing away', async () => {
    const pool = userPool();
    await store().setPolicy('user', pool.ownerId, tier('FREE'));
    await store().setPolicy('user', pool.ownerId, tier('BRONZE'));
    assert.equal((await store().read(pool))?.remainingTokens, 1_000);
    await store().setPolicy('user', pool.ownerId, tier('FREE'));
    assert.equal((await store().read(pool))?.remainingTokens, 1_000);
    assert.deepEqual(await purchases().room(pool), { cap: 100, used: 0 }, 'an allowance takes no room');
  });

  it('a purchase over the cap is refused, also when two race for the room', async () => {
    const pool = userPool();
    await store().setPolicy('user', pool.ownerId, {
      tier: 'ENTERPRISE',
      zone: 'UTC',
      custom: { capacityMultiplier: 1, leakMultiplier: 1, allowance: 0, cap: 100 },
    });
    assert.deepEqual(await purchases().room(pool), { cap: 100, used: 0 });
    const outcomes = await Promise.all([60, 60].map((tokens) => purchases().allocate(v7(), pool, tokens)));
    assert.deepEqual(outcomes.map((outcome) => outcome.ok).sort(), [false, true]);
    assert.deepEqual(await purchases().room(pool), { cap: 100, used: 60 });
  });

  it('an allocation ends once: posted tokens are spendable, voided ones never were, and a late allocation after a void is refused', async () => {
    const pool = userPool();
    const [posted, voided, late] = [v7(), v7(), v7()];
    await purchases().allocate(posted, pool, 10);
    await purchases().allocate(posted, pool, 10);
    assert.equal((await poolRow(database().pool, pool))['pending'], 10);
    assert.equal((await store().read(pool))?.remainingTokens, 0);
    await purchases().post(posted);
    await purchases().post(posted);
    await assert.rejects(purchases().void(posted), /POSTED/);
    await purchases().allocate(voided, pool, 5);
    await purchases().void(voided);
    await purchases().void(late);
    assert.deepEqual(await purchases().allocate(late, pool, 7), { ok: false, reason: 'VOIDED' });
    await assert.rejects(purchases().post(v7()), /MISSING/);
    const row = await poolRow(database().pool, pool);
    assert.deepEqual([row['purchased'], row['pending'], row['purchased_total']], [10, 0, 10]);
  });

  it('an administrator sets a total, up and down, as far as the tokens are free', async () => {
    const pool = { ownerKind: 'org' as const, ownerId: randomUUID(), provider: 'qwen' as const };
    const set = async (total: number) => {
      const answer = await store().setTotal(pool, total);
      return answer.ok ? [answer.created, answer.snapshot.totalTokens, answer.snapshot.remainingTokens] : answer.reason;
    };
    assert.deepEqual(await set(500), [true, 500, 500]);
    assert.deepEqual(await set(500), [false, 500, 500]);
    assert.deepEqual(await set(200), [false, 200, 200]);
    await purchases().allocate(v7(), pool, 50);
    assert.deepEqual(await set(0), [false, 0, 0]);
    await buy(database().pool, pool, 30);
    assert.equal((await store().read(pool))?.totalTokens, 30);
  });

  it('a pool that nobody opened does not exist', async () => assert.equal(await store().read(userPool()), null));
});
