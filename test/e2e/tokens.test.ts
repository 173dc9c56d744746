import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { withSystem } from '../support/system.js';
import { Contract, WAYS } from './contract.js';
import { assertProblem, call } from './http.js';
import { People, type Person } from './people.js';

const CONSUME = '/api/v1/tokens/consume';
const CONSUMPTION = '/api/v1/tokens/consume/{consumptionId}';
const QUOTA = '/api/v1/tokens/quota';
const ORG_QUOTA = '/api/v1/tokens/quota/org';
const TIER = '/api/v1/tokens/tiers/{ownerKind}/{ownerId}';
const STATUS = '/api/v1/tokens/status';

describe('the contract of consumption and quota', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let stranger: Person;
  before(async () => {
    stranger = await people.register();
  });
  const withTokens = async (tokens: number, provider = 'openai'): Promise<Person> => {
    const person = await people.register();
    const saga = await people.buy(person, tokens, { provider });
    assert.equal(saga['status'], 'COMPLETED', JSON.stringify(saga));
    return person;
  };

  for (const way of WAYS) {
    describe(way, () => {
      const consume = (person: Person, body: object, headers: Record<string, string> = {}) =>
        contract.ask(way, 'POST', CONSUME, { token: person.token, headers, body: { userId: person.userId, provider: 'openai', ...body } });
      const explain = (person: Person, consumptionId: string) =>
        contract.ask(way, 'GET', CONSUMPTION, { token: person.token, params: { consumptionId } });

      it('status is public', async () => {
        const { status, body } = await contract.ask(way, 'GET', STATUS);
        assert.deepEqual([status, body.service, body.status], [200, 'token-service', 'ok']);
      });

      it('quota: 404 before the first purchase, then its balance; 403 to others, 401 to nobody, 400 to bad queries', async () => {
        const person = await people.register();
        const query = { userId: person.userId, provider: 'openai' };
        const ask = (token: string | undefined, over: object = {}) =>
          contract.ask(way, 'GET', QUOTA, { token, query: { ...query, ...over } });
        assertProblem(await ask(person.token), 404, 'NOT_FOUND');
        await people.buy(person, 70);
        const { status, body } = await ask(person.token);
        assert.deepEqual([status, body.userId, body.provider], [200, person.userId, 'openai']);
        assert.deepEqual([body.totalTokens, body.remainingTokens, body.reservedTokens], [70, 70, 0]);
        assert.ok(Date.parse(body.resetTime) > Date.now() && Date.parse(body.resetTime) <= Date.now() + 86_400_000);
        assertProblem(await ask(person.token, { provider: 'gemini' }), 404);
        assertProblem(await ask(stranger.token), 403, 'FORBIDDEN');
        assert.equal((await ask((await people.admin()).token)).status, 200);
        assertProblem(await ask(undefined), 401, 'UNAUTHENTICATED');
        for (const over of [{ provider: 'anthropic' }, { userId: 'me' }, { provider: '' }])
          assertProblem(await ask(person.token, over), 400);
        assertProblem(await contract.ask(way, 'GET', QUOTA, { token: person.token }), 400);
      });

      it('consume answers 200 with the bucket and the provider’s answer, charges the pool, and is explained afterwards', async () => {
        const person = await withTokens(100);
        const { status, body, headers } = await consume(person, { tokens: 30, prompt: 'hello', tag: 'team/a', model: 'gpt-4o' });
        assert.equal(status, 200);
        assert.deepEqual([body.allowed, body.capacity, body.used, body.remaining, body.waitSeconds], [true, 1000, 30, 970, 0]);
        assert.equal(body.providerResponse.provider, 'openai');
        assert.ok(body.providerResponse.id && body.providerResponse.message);
        assert.equal((await people.quota(person)).remainingTokens, 70);

        const why = await explain(person, body.consumptionId);
        assert.equal(why.status, 200);
        assert.deepEqual([why.body.state, why.body.allowed, why.body.charged, why.body.attempts], ['SETTLED', true, 30, 1]);
        assert.deepEqual([why.body.userId, why.body.correlationId], [person.userId, headers['x-correlation-id']]);
        assert.ok(why.body.workflowId);
        assert.ok(why.body.temporalCommand.includes(why.body.workflowId));
        assert.ok(why.body.reasons.length > 0);
        assertProblem(await explain(stranger, body.consumptionId), 404);
        assertProblem(await explain(person, randomUUID()), 404);
        assertProblem(await explain(person, 'x'), 400);
        assertProblem(await contract.ask(way, 'GET', CONSUMPTION, { params: { consumptionId: body.consumptionId } }), 401);
      });

      for (const provider of ['gemini', 'qwen']) {
        it(`consume reaches ${provider}, whose pool is apart from others`, async () => {
          const person = await withTokens(20, provider);
          const { status, body } = await consume(person, { provider, tokens: 5 });
          assert.deepEqual([status, body.providerResponse?.provider], [200, provider]);
          assert.equal((await people.quota(person, provider)).remainingTokens, 15);
          assertProblem(await consume(person, { tokens: 5 }), 402);
        });
      }

      for (const [what, wrong] of Object.entries({
        '0 tokens': { tokens: 0 },
        '10,001 tokens': { tokens: 10_001 },
        'half a token': { tokens: 1.5 },
        'tokens as text': { tokens: '5' },
        'no tokens': { tokens: undefined },
        'an unknown provider': { tokens: 1, provider: 'anthropic' },
        'a userId that is no id': { tokens: 1, userId: 'ada' },
        'an orgId that is no id': { tokens: 1, orgId: 'x' },
        'a prompt that is no text': { tokens: 1, prompt: { a: 1 } },
      })) {
        it(`consume refuses ${what} with 400`, async () => {
          assertProblem(await consume(stranger, wrong), 400);
        });
      }

      it('consume takes 10,000 tokens as valid', async () => {
        const answer = await consume(stranger, { tokens: 10_000 });
        assertProblem(answer, 429);
      });

      it('consume refuses an Idempotency-Key of 101 characters, or with spaces, with 400', async () => {
        for (const key of ['k'.repeat(101), 'a b', ''])
          assertProblem(await consume(stranger, { tokens: 1 }, { 'Idempotency-Key': key }), 400);
      });

      it('402 without a pool or with too small a one: the text of the contract, an upgradeUrl, an uncharged bucket', async () => {
        const person = await people.register();
        const none = await consume(person, { tokens: 5 });
        assertProblem(none, 402, 'INSUFFICIENT_QUOTA');
        assert.equal(none.body.message, 'insufficient token quota');
        assert.ok(new URL(none.body.upgradeUrl));
        await people.buy(person, 10);
        const small = await consume(person, { tokens: 11 });
        assertProblem(small, 402);
        assert.deepEqual([small.body.policy, small.body.limit, small.body.used, small.body.remaining], ['token-quota', 10, 0, 10]);
        assert.ok(Date.parse(small.body.resetAt) > Date.now());
        assert.deepEqual([none.body.policy, none.body.limit, none.body.used], ['token-quota', 0, 0]);
        assert.equal((await consume(person, { tokens: 10 })).body.used, 10);
        const why = await explain(person, small.body.consumptionId);
        assert.deepEqual([why.body.allowed, why.body.charged, why.body.reasons[0].code], [false, 0, 'INSUFFICIENT_QUOTA']);
      });

      it('429 when the bucket would overflow says how long to wait; 429 above its whole capacity says that no wait will help', async () => {
        const person = await withTokens(20_000);
        assert.equal((await consume(person, { tokens: 990 })).status, 200);
        const full = await consume(person, { tokens: 900 });
        assertProblem(full, 429, 'BUCKET_OVERFLOW');
        assert.deepEqual([full.body.allowed, full.body.capacity, full.body.providerResponse], [false, 1000, {}]);
        assert.ok(full.body.waitSeconds > 60 && full.body.waitSeconds <= 90, full.text);
        assert.equal(Number(full.headers['retry-after']), full.body.waitSeconds);
        assert.deepEqual([full.body.policy, full.body.limit], ['rate-bucket', 1000]);
        assert.ok(Date.parse(full.body.resetAt) > Date.now());
        assert.equal(full.body.used + full.body.remaining, 1000);
        const never = await consume(person, { tokens: 1_001 });
        assertProblem(never, 429);
        assert.equal(never.headers['retry-after'], undefined);
        assert.equal(never.body.waitSeconds, null);
        assert.match(never.body.message, /no wait/);
        assert.equal((await people.quota(person)).remainingTokens, 19_010);
      });

      it('502 when the provider fails after its retries; 504 when it hangs; 200 when a retry helps: held tokens come back', async () => {
        const person = await withTokens(100);
        const failed = await consume(person, { tokens: 10, prompt: '[stub:fail] one' });
        assertProblem(failed, 502, 'PROVIDER_FAILED');
        assert.equal(failed.body.message, 'provider call failed');
        const why = await explain(person, failed.body.consumptionId);
        assert.deepEqual([why.body.state, why.body.allowed, why.body.charged, why.body.attempts], ['RELEASED', false, 0, 3]);
        assertProblem(await consume(person, { tokens: 10, prompt: '[stub:hang] two' }), 504, 'PROVIDER_TIMEOUT');
        assertProblem(await consume(person, { tokens: 10, prompt: '[stub:nonsense] three' }), 502);
        assert.equal((await consume(person, { tokens: 10, prompt: `[stub:fail=2] four ${randomUUID()}` })).status, 200);
        const { remainingTokens, reservedTokens } = await people.quota(person);
        assert.deepEqual([remainingTokens, reservedTokens], [90, 0]);
      });

      it('an Idempotency-Key gives the first answer again and no second charge; 409 for another payload; keys are apart for each user', async () => {
        const [person, other] = await Promise.all([withTokens(100), withTokens(100)]);
        const headers = { 'Idempotency-Key': `k-${way.length}` };
        const first = await consume(person, { tokens: 7, prompt: 'once' }, headers);
        const again = await consume(person, { tokens: 7, prompt: 'once' }, headers);
        assert.deepEqual([first.status, again.status], [200, 200]);
        assert.deepEqual(again.body, first.body);
        assertProblem(await consume(person, { tokens: 8, prompt: 'once' }, headers), 409, 'IDEMPOTENCY_KEY_REUSED');
        assertProblem(await consume(person, { tokens: 7, prompt: 'twice' }, headers), 409);
        assert.equal((await people.quota(person)).remainingTokens, 93);
        const apart = await consume(other, { tokens: 7, prompt: 'once' }, headers);
        assert.equal(apart.status, 200);
        assert.notEqual(apart.body.consumptionId, first.body.consumptionId);
      });

      it('of 20 parallel consumptions under one key one is charged, and each gets its answer or 409', async () => {
        const person = await withTokens(100);
        const headers = { 'Idempotency-Key': 'all-at-once' };
        const answers = await Promise.all(
          Array.from({ length: 20 }, () => consume(person, { tokens: 9, prompt: '[stub:slow=150] same' }, headers)),
        );
        const done = answers.filter(({ status }) => status === 200);
        assert.ok(done.length > 0);
        assert.equal(new Set(done.map(({ body }) => body.consumptionId)).size, 1);
        for (const answer of answers) if (answer.status !== 200) assertProblem(answer, 409, 'IDEMPOTENCY_IN_FLIGHT');
        assert.equal((await people.quota(person)).remainingTokens, 91);
      });

      it('of 60 parallel consumptions of 3 from a pool of 100 exactly 33 succeed and 1 token is left', async () => {
        const person = await withTokens(100);
        const answers = await Promise.all(Array.from({ length: 60 }, () => consume(person, { tokens: 3 })));
        assert.equal(answers.filter(({ status }) => status === 200).length, 33);
        for (const answer of answers) if (answer.status !== 200) assertProblem(answer, 402);
        const { remainingTokens, reservedTokens, totalTokens } = await people.quota(person);
        assert.deepEqual([remainingTokens, reservedTokens, totalTokens], [1, 0, 100]);
      });

      it('an organisation’s pool is set by ADMIN, read and spent by members, and closed to strangers', async () => {
        const [owner, member] = await Promise.all([people.register(), people.register()]);
        const orgId = await people.org(owner, member);
        const set = (token: string | undefined, totalTokens: unknown, over: object = {}) =>
          contract.ask(way, 'POST', ORG_QUOTA, { token, body: { orgId, provider: 'openai', totalTokens, ...over } });
        const read = (token: string) => contract.ask(way, 'GET', ORG_QUOTA, { token, query: { orgId, provider: 'openai' } });
        const { token } = await people.admin();
        assertProblem(await read(member.token), 404);
        assertProblem(await set(owner.token, 100), 403);
        assertProblem(await set(undefined, 100), 401);
        assertProblem(await set(token, -1), 400);
        assertProblem(await set(token, 10, { provider: 'x' }), 400);
        assert.equal((await set(token, 100)).status, 201);
        const changed = await set(token, 50);
        assert.deepEqual([changed.status, changed.body.totalTokens, changed.body.remainingTokens], [200, 50, 50]);
        assert.deepEqual((await read(member.token)).body.orgId, orgId);
        assertProblem(await read(stranger.token), 403);

        const spent = await consume(member, { orgId, tokens: 20 });
        assert.equal(spent.status, 200);
        assert.equal((await read(owner.token)).body.remainingTokens, 30);
        assertProblem(await consume(stranger, { orgId, tokens: 1 }), 403);
        assertProblem(await consume(member, { orgId, tokens: 31 }), 402);
        assertProblem(await consume(member, { tokens: 1 }), 402);
        assert.equal((await explain(owner, spent.body.consumptionId)).status, 200);
        assertProblem(await set(token, 19), 409);
        assertProblem(await contract.ask(way, 'GET', ORG_QUOTA, { token: member.token, query: { orgId: 'x', provider: 'openai' } }), 400);
      });

      it('an id in capital letters is the same id', async () => {
        const person = await withTokens(100);
        const userId = person.userId.toUpperCase();
        const headers = { 'Idempotency-Key': 'capital' };
        const first = await consume(person, { tokens: 5, prompt: 'x' }, headers);
        const again = await consume(person, { userId, tokens: 5, prompt: 'x' }, headers);
        assert.deepEqual([again.status, again.body], [200, first.body]);
        const quota = await contract.ask(way, 'GET', QUOTA, { token: person.token, query: { userId, provider: 'openai' } });
        assert.deepEqual([quota.status, quota.body.userId, quota.body.remainingTokens], [200, person.userId, 95]);
      });

      it('ENTERPRISE has terms of its own, whatever they are', async () => {
        const person = await people.register();
        const terms = { capacityMultiplier: 0.01, leakMultiplier: 0.001, allowance: 1_000, cap: null };
        await people.setTier('users', person.userId, { tier: 'ENTERPRISE', custom: terms });
        for (const wrong of [
          { leakMultiplier: 1e-300 },
          { leakMultiplier: 0 },
          { capacityMultiplier: 1e9 },
          { allowance: -1 },
          { allowance: Number.MAX_SAFE_INTEGER },
          { cap: 0.5 },
          { cap: 1e12 + 1 },
        ]) {
          const body = { tier: 'ENTERPRISE', custom: { ...terms, ...wrong } };
          const params = { ownerKind: 'users', ownerId: person.userId };
          assertProblem(await contract.ask(way, 'PUT', TIER, { token: (await people.admin()).token, params, body }), 400);
        }
        assert.equal((await people.quota(person)).remainingTokens, 1_000);
        assert.deepEqual((await consume(person, { tokens: 9 })).body.capacity, 10);
        const refused = await consume(person, { tokens: 2 });
        assertProblem(refused, 429, 'BUCKET_OVERFLOW');
        await people.setTier('users', person.userId, { tier: 'ENTERPRISE', custom: { ...terms, cap: 0, leakMultiplier: 10_000 } });
        assertProblem(
          await contract.ask(way, 'POST', '/api/v1/tokens/purchase', {
            token: person.token,
            body: { userId: person.userId, provider: 'openai', tokens: 1 },
          }),
          400,
          'POOL_CAP_EXCEEDED',
        );
      });

      it('an API key of an organisation spends its pool, and dies with its owner’s membership', async () => {
        const [owner, member] = await Promise.all([people.register(), people.register()]);
        const orgId = await people.org(owner, member);
        await people.buy(owner, 30, { orgId });
        const { rawKey } = await people.key(member, { orgId });
        const spend = () =>
          contract.ask(way, 'POST', CONSUME, { key: rawKey, body: { userId: member.userId, orgId, provider: 'openai', tokens: 2 } });
        assert.equal((await spend()).status, 200);
        const path = `/api/v1/auth/orgs/${orgId}/members?userId=${member.userId}`;
        assert.equal((await people.call('DELETE', path, { token: owner.token })).status, 204);
        await eventually('the key is refused', async () => (await spend()).status === 401, 1_000);
        await eventually('the membership is over', async () => (await consume(member, { orgId, tokens: 2 })).status === 403, 5_000);
      });

      it('tiers are set by ADMIN: allowance, cap and the bucket’s multipliers follow', async () => {
        const person = await people.register();
        const params = { ownerKind: 'users', ownerId: person.userId };
        const set = (token: string | undefined, body: object) => contract.ask(way, 'PUT', TIER, { token, params, body });
        const { token } = await people.admin();
        assertProblem(await set(person.token, { tier: 'GOLD' }), 403);
        assertProblem(await set(undefined, { tier: 'GOLD' }), 401);
        for (const wrong of [{}, { tier: 'PLATINUM' }, { tier: 'GOLD', zone: 'Mars/Olympus' }, { tier: 'GOLD', custom: {} }]) {
          assertProblem(await set(token, wrong), 400);
        }
        assert.equal((await contract.ask(way, 'GET', TIER, { token: person.token, params })).body.tier, 'STANDARD');
        assertProblem(await contract.ask(way, 'GET', TIER, { token: stranger.token, params }), 403);

        assert.equal((await set(token, { tier: 'FREE', zone: 'Europe/Berlin' })).status, 200);
        const free = await consume(person, { tokens: 10 });
        assert.deepEqual([free.status, free.body.capacity], [200, 500]);
        assert.equal((await people.quota(person)).remainingTokens, 90);
        await set(token, { tier: 'SILVER' });
        // Services may remember a tier for 5 s.
        await eventually('the new tier', async () => (await consume(person, { tokens: 1 })).body.capacity === 2_000);
        const key = await people.key(person, { tier: 'GOLD' }, await people.admin());
        const gold = await contract.ask(way, 'POST', CONSUME, {
          key: key.rawKey,
          body: { userId: person.userId, provider: 'openai', tokens: 1 },
        });
        assert.equal(gold.body.capacity, 5_000);
      });
    });
  }

  it('503 while a provider’s breaker is open: Retry-After, nothing charged, an event with the reason; then it closes again', async () => {
    const person = await withTokens(1_000, 'qwen');
    const control = (method: string, body?: object) => call(system().stubs.qwen, method, '/control', body && { body });
    try {
      await control('PUT', { mode: 'fail' });
      const body = { provider: 'qwen', tokens: 1 };
      await Promise.all(Array.from({ length: 30 }, () => people.consume(person, 1, body)));
      const refused = await people.consume(person, 1, body);
      assertProblem(refused, 503, 'PROVIDER_UNAVAILABLE');
      assert.ok(Number(refused.headers['retry-after']) >= 1);
      const { remainingTokens, reservedTokens } = await people.quota(person, 'qwen');
      assert.deepEqual([remainingTokens, reservedTokens], [1_000, 0]);
      const usage = await people.call('GET', '/api/v1/analytics/usage?provider=qwen', { token: person.token });
      assert.ok(
        usage.body.items.some(({ reason }: { reason: string }) => reason === 'PROVIDER_UNAVAILABLE'),
        usage.text,
      );
      // Faults of a provider are not faults of the token service: the gateway's breaker stays closed.
      assert.equal((await people.call('GET', STATUS)).status, 200);
    } finally {
      await control('DELETE');
    }
    await eventually('the breaker closes', async () => (await people.consume(person, 1, { provider: 'qwen' })).status === 200, 20_000);
  });
});
