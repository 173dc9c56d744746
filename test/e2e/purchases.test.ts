import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { withSystem } from '../support/system.js';
import { Contract, WAYS } from './contract.js';
import { assertProblem } from './http.js';
import { People, type Person } from './people.js';

const PURCHASE = '/api/v1/tokens/purchase';
const SAGA = '/api/v1/tokens/purchase/{sagaId}';
const PURCHASES = '/api/v1/tokens/purchases';

describe('the contract of purchases', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let stranger: Person;
  before(async () => {
    stranger = await people.register();
  });

  for (const way of WAYS) {
    describe(way, () => {
      const buy = (person: Person, body: object = {}, key?: string) =>
        contract.ask(way, 'POST', PURCHASE, {
          token: person.token,
          headers: key === undefined ? {} : { 'Idempotency-Key': key },
          body: { userId: person.userId, provider: 'openai', tokens: 100, ...body },
        });
      const show = (person: Person, sagaId: string) => contract.ask(way, 'GET', SAGA, { token: person.token, params: { sagaId } });
      const cancel = (person: Person, sagaId: string) =>
        contract.ask(way, 'POST', `${SAGA}/cancel`, { token: person.token, params: { sagaId } });

      it('is accepted with 202, ends COMPLETED, and the pool holds the tokens', async () => {
        const person = await people.register();
        const { status, body, headers } = await buy(person);
        assert.equal(status, 202);
        assert.equal(headers.location, `/api/v1/tokens/purchase/${body.sagaId}`);
        const saga = await people.ended(person, body.sagaId);
        const shown = await show(person, body.sagaId);
        assert.deepEqual([saga['status'], shown.body], ['COMPLETED', saga]);
        assert.deepEqual(
          [saga['id'], saga['userId'], saga['orgId'], saga['provider'], saga['tokens'], saga['idempotencyKey'], saga['createdAt']],
          [body.sagaId, person.userId, null, 'openai', 100, null, body.createdAt],
        );
        assert.equal((await people.quota(person)).remainingTokens, 100);
        assertProblem(await cancel(person, body.sagaId), 409, 'NOT_CANCELLABLE');
      });

      it('of 40 parallel purchases with one key there is one saga and one charge; the key with another payload is 409', async () => {
        const person = await people.register();
        const answers = await Promise.all(Array.from({ length: 40 }, () => buy(person, {}, 'one-key')));
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
        const sagas = new Set(answers.map(({ body }) => body.sagaId as string));
        assert.equal(sagas.size, 1);
        assert.equal(new Set(answers.map(({ body }) => body.createdAt as string)).size, 1);
        const [sagaId = ''] = sagas;
        assert.equal((await people.ended(person, sagaId))['status'], 'COMPLETED');
        assert.equal((await people.quota(person)).totalTokens, 100);
        assert.deepEqual(
          [(await buy(person, {}, 'one-key')).body.sagaId, (await show(person, sagaId)).body.idempotencyKey],
          [sagaId, 'one-key'],
        );
        assertProblem(await buy(person, { tokens: 101 }, 'one-key'), 409, 'IDEMPOTENCY_KEY_REUSED');
        assertProblem(await buy(person, { provider: 'qwen' }, 'one-key'), 409);
        const other = await people.register();
        assert.notEqual((await buy(other, {}, 'one-key')).body.sagaId, sagaId);
        const page = await contract.ask(way, 'GET', PURCHASES, { token: person.token, query: { userId: person.userId } });
        assert.equal(page.body.items.length, 1);
      });

      it('a declined payment ends FAILED with its reason and no tokens', async () => {
        const person = await people.register();
        const { body } = await buy(person, { paymentMethod: 'sim_decline' });
        const saga = await people.ended(person, body.sagaId);
        assert.deepEqual([saga['status'], saga['failureReason']], ['FAILED', 'PAYMENT_DECLINED']);
        assertProblem(
          await contract.ask(way, 'GET', '/api/v1/tokens/quota', {
            token: person.token,
            query: { userId: person.userId, provider: 'openai' },
          }),
          404,
        );
      });

      it('a capture that is declined gives the allocated tokens back', async () => {
        const person = await people.register();
        await people.buy(person, 5);
        const { body } = await buy(person, { paymentMethod: 'sim_capture_fails' });
        const saga = await people.ended(person, body.sagaId);
        assert.deepEqual([saga['status'], saga['failureReason']], ['FAILED', 'CAPTURE_DECLINED']);
        assert.equal((await people.quota(person)).remainingTokens, 5);
      });

      it('can be cancelled before the point of no return: 202, then FAILED, and nothing is bought', async () => {
        const person = await people.register();
        const { body } = await buy(person, { paymentMethod: 'sim_slow:3000' });
        assertProblem(await cancel(stranger, body.sagaId), 404);
        assertProblem(await contract.ask(way, 'POST', `${SAGA}/cancel`, { params: { sagaId: body.sagaId } }), 401);
        assert.equal((await cancel(person, body.sagaId)).status, 202);
        const saga = await people.ended(person, body.sagaId);
        assert.deepEqual([saga['status'], saga['failureReason']], ['FAILED', 'CANCELLED']);
        const again = await cancel(person, body.sagaId);
        assert.deepEqual([again.status, again.body.sagaId, again.body.status], [202, body.sagaId, 'FAILED']);
        assertProblem(await cancel(person, randomUUID()), 404);
        assertProblem(await cancel(person, 'x'), 400);
      });

      it('over the cap of the tier it is refused with 400 before any payment; bought tokens are never lost to the cap', async () => {
        const person = await people.register();
        await people.setTier('users', person.userId, { tier: 'BRONZE' });
        assertProblem(await buy(person, { tokens: 1_001 }), 400, 'POOL_CAP_EXCEEDED');
        const page = await contract.ask(way, 'GET', PURCHASES, { token: person.token, query: { userId: person.userId } });
        assert.deepEqual(page.body.items, []);
        const rich = await people.register();
        await people.buy(rich, 5_000);
        await people.setTier('users', rich.userId, { tier: 'BRONZE' });
        assert.ok((await people.quota(rich)).remainingTokens >= 5_000);
        assertProblem(await buy(rich, { tokens: 1 }), 400, 'POOL_CAP_EXCEEDED');
      });

      it('for an organisation it fills the pool of that; strangers get 403', async () => {
        const person = await people.register();
        const orgId = await people.org(person);
        const { body } = await buy(person, { orgId, tokens: 40 });
        assert.deepEqual(
          [(await people.ended(person, body.sagaId))['status'], (await show(person, body.sagaId)).body.orgId],
          ['COMPLETED', orgId],
        );
        const query = { orgId, provider: 'openai' };
        const quota = await contract.ask(way, 'GET', '/api/v1/tokens/quota/org', { token: person.token, query });
        assert.equal(quota.body.remainingTokens, 40);
        assertProblem(await buy(stranger, { orgId }), 403);
      });

      it('is 403 for another user, 401 for nobody, 400 for what is not valid, 404 for an unknown saga and for someone else’s', async () => {
        const person = await people.register();
        assertProblem(await buy(stranger, { userId: person.userId }), 403);
        assertProblem(await contract.ask(way, 'POST', PURCHASE, { body: { userId: person.userId, provider: 'openai', tokens: 1 } }), 401);
        const wrongs = [
          { tokens: 0 },
          { tokens: 1_000_001 },
          { tokens: 1.5 },
          { tokens: '1' },
          { provider: 'x' },
          { userId: 'x' },
          { orgId: 'x' },
          { paymentMethod: 'gold' },
        ];
        for (const wrong of wrongs) assertProblem(await buy(person, wrong), 400);
        for (const key of ['k'.repeat(101), 'a b', '']) assertProblem(await buy(person, {}, key), 400);
        const { body } = await buy(person, { tokens: 1 }, 'k'.repeat(100));
        assertProblem(await show(stranger, body.sagaId), 404);
        assert.equal((await show(await people.admin(), body.sagaId)).status, 200);
        assertProblem(await show(person, randomUUID()), 404);
        assertProblem(await show(person, 'x'), 400);
        assertProblem(await contract.ask(way, 'GET', SAGA, { params: { sagaId: body.sagaId } }), 401);
        for (const action of ['approve', 'retry']) {
          assertProblem(
            await contract.ask(way, 'POST', `${SAGA}/${action}`, { token: person.token, params: { sagaId: body.sagaId } }),
            403,
          );
        }
        await people.ended(person, body.sagaId);
        const { token } = await people.admin();
        for (const action of ['approve', 'retry']) {
          // The row says COMPLETED a moment before its workflow ends.
          await eventually(
            `${action} is refused`,
            async () => {
              return (await contract.ask(way, 'POST', `${SAGA}/${action}`, { token, params: { sagaId: body.sagaId } })).status === 409;
            },
            5_000,
          );
          assertProblem(await contract.ask(way, 'POST', `${SAGA}/${action}`, { token, params: { sagaId: randomUUID() } }), 404);
        }
      });

      it('the list is newest first and paged without gaps', async () => {
        const person = await people.register();
        const bought: string[] = [];
        for (let n = 1; n <= 5; n++) bought.unshift((await people.buy(person, n))['id'] as string);
        const seen: string[] = [];
        let cursor: string | null = null;
        do {
          const query: Record<string, string | number> = { userId: person.userId, limit: 2, ...(cursor !== null && { cursor }) };
          const page = await contract.ask(way, 'GET', PURCHASES, { token: person.token, query });
          assert.equal(page.status, 200);
          seen.push(...page.body.items.map(({ id }: { id: string }) => id));
          cursor = page.body.nextCursor as string | null;
        } while (cursor !== null);
        assert.deepEqual(seen, bought);
        assertProblem(await contract.ask(way, 'GET', PURCHASES, { token: stranger.token, query: { userId: person.userId } }), 403);
        assertProblem(await contract.ask(way, 'GET', PURCHASES, { query: { userId: person.userId } }), 401);
        for (const query of [{ limit: 0 }, { limit: 'x' }, { userId: 'x' }, { cursor: 'x' }]) {
          assertProblem(await contract.ask(way, 'GET', PURCHASES, { token: person.token, query }), 400);
        }
      });
    });
  }

  it('the correlation id of the request is on the purchase’s workflow', async () => {
    const person = await people.register();
    const id = `corr-${randomUUID()}`;
    const body = { userId: person.userId, provider: 'openai', tokens: 1 };
    const { headers } = await people.call('POST', PURCHASE, { token: person.token, body, headers: { 'X-Correlation-Id': id } });
    assert.equal(headers['x-correlation-id'], id);
    await eventually(
      'the search finds the workflow',
      async () => {
        const query = encodeURIComponent(`LeakyCorrelationId="${id}"`);
        const found = await people.call('GET', `/api/v1/namespaces/default/workflows?query=${query}`, {}, system().temporal.ui);
        return found.status === 200 && found.body.executions?.length === 1;
      },
      15_000,
    );
  });
});
