import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.js';
import { withSystem } from '../support/system.js';
import { Contract, WAYS } from './contract.js';
import { assertProblem } from './http.js';
import { People, type Person } from './people.js';

const HEALTH = '/api/v1/analytics/health';
const USAGE = '/api/v1/analytics/usage';
const REPORT = '/api/v1/analytics/report';
const ANOMALIES = '/api/v1/analytics/anomalies';
const SERIES = '/api/v1/analytics/timeseries';

interface Item {
  key: { timestamp: string };
  id: string;
  userId: string;
  tokens: number;
  allowed: boolean;
  reason: string | null;
  requestId: string;
  tag: string | null;
}

describe('the contract of analytics', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let person: Person;
  let stranger: Person;
  const attempts: { id: string; allowed: boolean; tokens: number; correlationId: string }[] = [];

  before(async function () {
    this.timeout(60_000);
    [person, stranger] = await Promise.all([people.register(), people.register()]);
    await people.buy(person, 50);
    const spend = async (tokens: number, extra: Record<string, unknown> = {}) => {
      const { status, body, headers } = await people.consume(person, tokens, extra);
      attempts.push({ id: body.consumptionId, allowed: status === 200, tokens, correlationId: String(headers['x-correlation-id']) });
    };
    for (const tokens of [10, 20, 7]) await spend(tokens, { tag: 'team/a' });
    await spend(40);
    await spend(1_001);
    await spend(5, { prompt: '[stub:fail] analytics' });
  });

  for (const way of WAYS) {
    describe(way, () => {
      it('health is public', async () => {
        const { status, body } = await contract.ask(way, 'GET', HEALTH);
        assert.deepEqual([status, body.service], [200, 'analytics-service']);
      });

      it('every attempt is one event, refusals with their reason included, newest first', async () => {
        let items: Item[] = [];
        await eventually('the events arrive', async () => {
          const answer = await contract.ask(way, 'GET', USAGE, { token: person.token, query: { provider: 'openai' } });
          items = answer.body.items as Item[];
          assert.equal(answer.body.count, items.length);
          return items.length === attempts.length;
        });
        assert.deepEqual(new Set(items.map(({ id }) => id)), new Set(attempts.map(({ id }) => id)));
        for (const item of items) {
          const attempt = attempts.find(({ id }) => id === item.id);
          assert.deepEqual(
            [item.userId, item.allowed, item.tokens, item.requestId],
            [person.userId, attempt?.allowed, attempt?.tokens, attempt?.correlationId],
          );
        }
        assert.deepEqual(
          items
            .filter(({ allowed }) => !allowed)
            .map(({ reason }) => reason)
            .sort(),
          ['BUCKET_OVERFLOW', 'INSUFFICIENT_QUOTA', 'PROVIDER_FAILED'],
        );
        assert.equal(items.filter(({ tag }) => tag === 'team/a').length, 3);
        const times = items.map(({ key }) => key.timestamp);
        assert.deepEqual(times, times.toSorted().reverse());
      });

      it('the report’s totals agree with the attempts and the quota, whatever the limit of its list', async () => {
        const spent = 50 - (await people.quota(person)).remainingTokens;
        for (const limit of [1, 1_000]) {
          const { status, body } = await contract.ask(way, 'GET', REPORT, { token: person.token, query: { provider: 'openai', limit } });
          assert.equal(status, 200);
          assert.deepEqual([body.totalEvents, body.allowedEvents, body.deniedEvents, body.totalTokens], [6, 3, 3, spent]);
          assert.deepEqual([body.uniqueUsers, body.sampleLimit], [1, limit]);
          assert.ok(Math.abs(body.averageTokens - spent / 3) < 1e-9);
          assert.deepEqual(body.topUsers, [{ userId: person.userId, totalTokens: spent, events: 6 }]);
          assert.equal(Date.parse(body.windowEnd) - Date.parse(body.windowStart), 3_600_000);
        }
      });

      it('an empty baseline is never an anomaly, and its ratio is null', async () => {
        const { status, body } = await contract.ask(way, 'GET', ANOMALIES, { token: person.token, query: { provider: 'openai' } });
        assert.equal(status, 200);
        assert.deepEqual([body.anomaly, body.ratio, body.currentTokens, body.baselineWindows, body.threshold], [false, null, 37, 3, 2]);
      });

      it('the time series adds up to the report', async () => {
        const from = new Date(Date.now() - 600_000).toISOString();
        const to = new Date(Date.now() + 60_000).toISOString();
        const sum = async (query: Record<string, string>) => {
          const { status, body } = await contract.ask(way, 'GET', SERIES, {
            token: person.token,
            query: { from, to, step: '1m', ...query },
          });
          assert.equal(status, 200);
          return body.buckets.reduce(
            (all: number[], one: { events: number; tokens: number }) => [(all[0] ?? 0) + one.events, (all[1] ?? 0) + one.tokens],
            [0, 0],
          );
        };
        assert.deepEqual(await sum({}), [6, 37]);
        assert.deepEqual(await sum({ tag: 'team/a', provider: 'openai', userId: person.userId }), [3, 37]);
      });

      it('a USER sees its own events only, an ADMIN all, members their organisation’s', async () => {
        for (const template of [USAGE, REPORT]) {
          const { body } = await contract.ask(way, 'GET', template, { token: stranger.token, query: { provider: 'openai' } });
          assert.equal(body.count ?? body.totalEvents, 0);
        }
        const { token } = await people.admin();
        const all = await contract.ask(way, 'GET', REPORT, { token, query: { provider: 'openai' } });
        assert.ok(all.body.totalEvents >= 6 && all.body.topUsers.some(({ userId }: { userId: string }) => userId === person.userId));
        const [owner, member] = await Promise.all([people.register(), people.register()]);
        const orgId = await people.org(owner, member);
        const body = { orgId, provider: 'gemini', totalTokens: 10 };
        await people.call('POST', '/api/v1/tokens/quota/org', { token, body });
        assert.equal((await people.consume(member, 4, { orgId, provider: 'gemini' })).status, 200);
        await eventually('the owner sees it', async () => {
          const seen = await contract.ask(way, 'GET', USAGE, { token: owner.token, query: { provider: 'gemini' } });
          return seen.body.items.some(({ userId }: Item) => userId === member.userId);
        });
      });

      it('400 without a provider and for bad parameters, 401 without a caller, 403 for the series of others', async () => {
        for (const template of [USAGE, REPORT, ANOMALIES]) {
          assertProblem(await contract.ask(way, 'GET', template, { token: person.token }), 400);
          assertProblem(
            await contract.ask(way, 'GET', template, { token: person.token, query: { provider: 'anthropic' } }),
            400,
            'UNKNOWN_PROVIDER',
          );
          assertProblem(await contract.ask(way, 'GET', template, { query: { provider: 'openai' } }), 401);
          for (const limit of [0, -1, 'x', 1e9, 1.5]) {
            assertProblem(await contract.ask(way, 'GET', template, { token: person.token, query: { provider: 'openai', limit } }), 400);
          }
        }
        const series = (query: Record<string, string>) => contract.ask(way, 'GET', SERIES, { token: stranger.token, query });
        const span = { from: '2026-01-01T00:00:00Z', to: '2026-01-01T01:00:00Z', step: '1m' };
        assertProblem(await series({ ...span, userId: person.userId }), 403);
        for (const wrong of [
          { step: '7s' },
          { from: 'x' },
          { to: '2025-01-01T00:00:00Z' },
          { provider: 'x' },
          { step: '1s', to: '2026-02-01T00:00:00Z' },
        ]) {
          assertProblem(await series({ ...span, ...wrong }), 400);
        }
      });
    });
  }
});
