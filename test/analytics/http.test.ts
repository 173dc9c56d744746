import assert from 'node:assert/strict';
import { createUsageMaintenance } from '../../adapters/postgres/usage-maintenance.js';
import { createUsageReader } from '../../adapters/postgres/usage-reader.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { createAnalyticsApp, operations } from '../../api/analytics/service.js';
import type { Caller } from '../../api/http/caller.js';
import { openApiDocument } from '../../api/http/openapi.js';
import { listen, type RunningServer } from '../../api/http/service.js';
import { loadConfig } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { createLogger } from '../../telemetry/log.js';
import { withDatabase } from '../support/postgres.js';
import { event, id } from './events.js';

const NOW = new Date('2026-03-01T12:34:56.789Z');
const [ada, bob, eve, org] = [id(0xa), id(0xb), id(0xe), id(0x101)];
const minutesAgo = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000).toISOString();

type Body = Record<string, unknown> & { [list: string]: never[] };

describe('analytics service', () => {
  const database = withDatabase();
  let server: RunningServer;

  before(async () => {
    const memberships = {
      orgsOf: (userId: string) => Promise.resolve(userId === eve ? [] : [org]),
      isMember: (userId: string, orgId: string) => Promise.resolve(userId !== eve && orgId === org),
      roleOf: (userId: string, orgId: string) => Promise.resolve(userId !== eve && orgId === org ? ('MEMBER' as const) : null),
    };
    const app = createAnalyticsApp({
      config: loadConfig({}),
      log: createLogger('silent'),
      usage: createUsageReader(database().pool),
      memberships,
      clock: () => NOW,
      authenticate: (req, res, next) => {
        const userId = req.headers['x-test-user'];
        if (typeof userId !== 'string') throw new Problem('UNAUTHENTICATED', 'Who are you?');
        const caller: Caller = {
          userId,
          username: 'test',
          roles: [userId === id(0xadd) ? 'ADMIN' : 'USER'],
          apiKeyId: null,
          keyTier: null,
        };
        res.locals.caller = caller;
        next();
      },
    });
    server = await listen(app, '127.0.0.1', 0);
    await createUsageSink(database().pool).publish([
      event({ id: id(1), userId: ada, tokens: 30, timestamp: minutesAgo(1), tag: 'batch' }),
      event({ id: id(2), userId: ada, tokens: 900, timestamp: minutesAgo(2), allowed: false }),
      event({ id: id(3), userId: bob, tokens: 20, timestamp: minutesAgo(59), orgId: org }),
      event({ id: id(4), userId: bob, tokens: 15, timestamp: minutesAgo(30) }),
      event({ id: id(5), userId: eve, tokens: 7, timestamp: minutesAgo(60) }),
      event({ id: id(6), userId: eve, tokens: 11, timestamp: minutesAgo(0) }),
      event({ id: id(7), userId: eve, tokens: 33, timestamp: minutesAgo(100) }),
      event({ id: id(8), userId: eve, tokens: 5, timestamp: minutesAgo(5), provider: 'qwen' }),
    ]);
    await createUsageMaintenance(database().pool).fold(4);
  });
  after(() => server.close(1_000));

  async function get(path: string, user: string | null = id(0xadd)): Promise<{ status: number; type: string | null; body: Body }> {
    const answer = await fetch(`http://127.0.0.1:${server.port}/api/v1/analytics/${path}`, {
      headers: user ? { 'X-Test-User': user } : {},
    });
    return { status: answer.status, type: answer.headers.get('content-type'), body: (await answer.json()) as Body };
  }

  it('health needs no caller', async () => {
    const { status, body } = await get('health', null);
    assert.deepEqual([status, body], [200, { service: 'analytics-service', status: 'ok', timestamp: NOW.toISOString() }]);
  });

  it('everything else needs one', async () => {
    for (const path of ['usage', 'report', 'anomalies', 'timeseries'])
      assert.equal((await get(`${path}?provider=openai`, null)).status, 401);
  });

  it('usage lists the newest first with refusals and their reason', async () => {
    const { status, body } = await get('usage?provider=openai&limit=3');
    assert.equal(status, 200);
    assert.deepEqual([body.provider, body.count], ['openai', 3]);
    assert.deepEqual(body.items?.[2], {
      key: { provider: 'openai', timestamp: minutesAgo(2) },
      id: id(2),
      userId: ada,
      orgId: null,
      tokens: 900,
      allowed: false,
      reason: 'BUCKET_OVERFLOW',
      requestId: 'request-1',
      tag: null,
    });
    assert.deepEqual(listOf(body, 'items', 'id'), [id(6), id(1), id(2)]);
  });

  it("usage shows a user its own events and its organisation's, and nobody else's", async () => {
    assert.deepEqual(listOf((await get('usage?provider=openai', ada)).body, 'items', 'id'), [id(1), id(2), id(3)]);
    assert.deepEqual(listOf((await get('usage?provider=openai', bob)).body, 'items', 'id'), [id(4), id(3)]);
    assert.deepEqual(listOf((await get('usage?provider=openai&limit=1', bob)).body, 'items', 'id'), [id(4)]);
    assert.deepEqual(listOf((await get('usage?provider=openai', eve)).body, 'items', 'id'), [id(6), id(5), id(7)]);
    assert.deepEqual((await get('usage?provider=gemini', eve)).body, { provider: 'gemini', count: 0, items: [] });
  });

  it('report counts [start, end) exactly, tokens and their average of allowed events only', async () => {
    const { body } = await get('report?provider=openai');
    assert.deepEqual(body, {
      provider: 'openai',
      windowStart: minutesAgo(60),
      windowEnd: NOW.toISOString(),
      totalEvents: 5,
      allowedEvents: 4,
      deniedEvents: 1,
      totalTokens: 72,
      averageTokens: 18,
      uniqueUsers: 3,
      sampleLimit: 1_000,
      topUsers: [
        { userId: bob, totalTokens: 35, events: 2 },
        { userId: ada, totalTokens: 30, events: 2 },
        { userId: eve, totalTokens: 7, events: 1 },
      ],
    });
  });

  it('report: the limit bounds the list of users and no total', async () => {
    const { body } = await get('report?provider=openai&limit=1');
    assert.deepEqual([body.totalEvents, body.uniqueUsers, body.sampleLimit, listOf(body, 'topUsers', 'userId')], [5, 3, 1, [bob]]);
  });

  it('report: a user counts only what it may see', async () => {
    const { body } = await get('report?provider=openai', ada);
    assert.deepEqual([body.totalEvents, body.totalTokens, body.uniqueUsers], [3, 50, 2]);
    assert.deepEqual(body.topUsers, [
      { userId: ada, totalTokens: 30, events: 2 },
      { userId: bob, totalTokens: 20, events: 1 },
    ]);
  });

  it('report: an empty window is all zeros', async () => {
    const { body } = await get('report?provider=gemini&windowMinutes=1');
    assert.deepEqual([body.totalEvents, body.averageTokens, body.uniqueUsers, body.topUsers], [0, 0, 0, []]);
  });

  it('anomalies compare the window with the average of those before it', async () => {
    const { body } = await get('anomalies?provider=openai');
    assert.deepEqual(body, {
      provider: 'openai',
      currentWindowStart: minutesAgo(60),
      currentWindowEnd: NOW.toISOString(),
      baselineWindows: 3,
      currentTokens: 72,
      baselineAverage: 11,
      ratio: 72 / 11,
      threshold: 2,
      anomaly: true,
      sampleLimit: 1_000,
    });
    assert.equal((await get('anomalies?provider=openai&thresholdMultiplier=6.6')).body.anomaly, false);
  });

  it('anomalies: an empty baseline has no ratio and is none, also within what a user may see', async () => {
    for (const [path, user] of [
      ['anomalies?provider=qwen', undefined],
      ['anomalies?provider=openai', ada],
    ] as const) {
      const { body } = await get(path, user);
      assert.deepEqual([body.ratio, body.anomaly, body.baselineAverage], [null, false, 0]);
    }
  });

  const hour = `from=${minutesAgo(60)}&to=${NOW.toISOString()}`;

  it('timeseries fills empty buckets, aligned to the step, and counts only [from, to)', async () => {
    const { body } = await get(`timeseries?provider=openai&${hour}&step=10m`);
    assert.deepEqual([body.provider, body.userId, body.stepSeconds], ['openai', null, 600]);
    assert.deepEqual(
      listOf(body, 'buckets', 'start').map((start) => String(start).slice(11, 16)),
      ['11:30', '11:40', '11:50', '12:00', '12:10', '12:20', '12:30'],
    );
    assert.deepEqual(listOf(body, 'buckets', 'events'), [2, 0, 0, 1, 0, 0, 2]);
    assert.deepEqual(listOf(body, 'buckets', 'tokens'), [27, 0, 0, 15, 0, 0, 30]);
    assert.deepEqual(listOf(body, 'buckets', 'deniedEvents'), [0, 0, 0, 0, 0, 0, 1]);
  });

  it('timeseries filters, and without a provider counts all of them', async () => {
    const events = async (filter: string, user?: string) => {
      const { status, body } = await get(`timeseries?${filter}&${hour}&step=1d`, user);
      return status === 200 ? listOf(body, 'buckets', 'events') : status;
    };
    assert.deepEqual(await events(''), [6]);
    assert.deepEqual(await events('tag=batch'), [1]);
    assert.deepEqual(await events(`userId=${bob}`), [2]);
    assert.deepEqual(await events(`orgId=${org}`, ada), [1]);
    assert.deepEqual(await events(`orgId=${org}&userId=${bob}`, ada), [1], "a member sees a colleague's events of the organisation");
    assert.deepEqual(await events(`userId=${ada}`, ada), [2]);
    assert.deepEqual(await events('', ada), [3]);
    assert.equal(await events(`userId=${bob}`, ada), 403);
    assert.equal(await events(`orgId=${org}`, eve), 403);
  });

  const series = 'timeseries?provider=openai&';
  const bad: [string, string, string][] = [
    ['usage', 'INVALID_REQUEST', 'provider'],
    ['report', 'INVALID_REQUEST', 'provider'],
    ['anomalies', 'INVALID_REQUEST', 'provider'],
    ['usage?provider=', 'INVALID_REQUEST', 'provider'],
    ['usage?provider=openai&provider=qwen', 'INVALID_REQUEST', 'provider'],
    ['usage?provider=claude', 'UNKNOWN_PROVIDER', 'provider'],
    ['report?provider=OPENAI', 'UNKNOWN_PROVIDER', 'provider'],
    [`timeseries?provider=x&${hour}&step=60`, 'UNKNOWN_PROVIDER', 'provider'],
    ['usage?provider=openai&limit=0', 'INVALID_REQUEST', 'limit'],
    ['usage?provider=openai&limit=201', 'INVALID_REQUEST', 'limit'],
    ['usage?provider=openai&limit=1.5', 'INVALID_REQUEST', 'limit'],
    ['usage?provider=openai&limit=abc', 'INVALID_REQUEST', 'limit'],
    ['usage?provider=openai&limit=', 'INVALID_REQUEST', 'limit'],
    ['report?provider=openai&windowMinutes=-1', 'INVALID_REQUEST', 'windowMinutes'],
    ['report?provider=openai&windowMinutes=1e99', 'INVALID_REQUEST', 'windowMinutes'],
    ['anomalies?provider=openai&baselineWindows=0', 'INVALID_REQUEST', 'baselineWindows'],
    ['anomalies?provider=openai&windowMinutes=100000&baselineWindows=2', 'INVALID_REQUEST', 'baselineWindows'],
    ['anomalies?provider=openai&thresholdMultiplier=0', 'INVALID_REQUEST', 'thresholdMultiplier'],
    ['anomalies?provider=openai&thresholdMultiplier=NaN', 'INVALID_REQUEST', 'thresholdMultiplier'],
    ['anomalies?provider=openai&thresholdMultiplier=Infinity', 'INVALID_REQUEST', 'thresholdMultiplier'],
    [`${series}to=${NOW.toISOString()}&step=60`, 'INVALID_REQUEST', 'from'],
    [`${series}from=yesterday&to=${NOW.toISOString()}&step=60`, 'INVALID_REQUEST', 'from'],
    [`${series}from=0000-01-01T00:00:00Z&to=0000-01-02T00:00:00Z&step=1d`, 'INVALID_REQUEST', 'from'],
    [`${series}from=${NOW.toISOString()}&to=${minutesAgo(1)}&step=60`, 'INVALID_REQUEST', 'to'],
    [`${series}from=${NOW.toISOString()}&to=${NOW.toISOString()}&step=60`, 'INVALID_REQUEST', 'to'],
    [`${series}${hour}`, 'INVALID_REQUEST', 'step'],
    [`${series}${hour}&step=0`, 'INVALID_REQUEST', 'step'],
    [`${series}${hour}&step=7`, 'INVALID_REQUEST', 'step'],
    [`${series}${hour}&step=90s`, 'INVALID_REQUEST', 'step'],
    [`${series}${hour}&step=1`, 'INVALID_REQUEST', 'step'],
    [`${series}${hour}&step=60&userId=me`, 'INVALID_REQUEST', 'userId'],
    [`${series}${hour}&step=60&tag=%00`, 'INVALID_REQUEST', 'tag'],
  ];
  for (const [path, code, field] of bad) {
    it(`refuses ${path.replace(/T[\d:.]+Z/g, '').slice(0, 90)} with 400 ${code}`, async () => {
      const { status, type, body } = await get(path);
      assert.deepEqual([status, type, body.code], [400, 'application/problem+json; charset=utf-8', code]);
      assert.ok(listOf(body, 'errors', 'field').includes(field), JSON.stringify(body.errors));
    });
  }

  it('says 503 and not 500 when the store is away', async () => {
    const app = createAnalyticsApp({
      config: loadConfig({}),
      log: createLogger('silent'),
      usage: { ...createUsageReader(database().pool), ping: () => Promise.reject(new Error('away')) },
      memberships: { orgsOf: () => Promise.resolve([]), isMember: () => Promise.resolve(false), roleOf: () => Promise.resolve(null) },
      authenticate: (_req, _res, next) => next(),
    });
    const away = await listen(app, '127.0.0.1', 0);
    try {
      assert.equal((await fetch(`http://127.0.0.1:${away.port}/api/v1/analytics/health`)).status, 503);
    } finally {
      await away.close(1_000);
    }
  });

  it('is described by an OpenAPI document with every route and parameter', () => {
    const document = JSON.parse(JSON.stringify(openApiDocument('Analytics', operations, 'http://localhost'))) as {
      paths: Record<string, { get: { parameters?: { name: string; required?: boolean; schema: { type?: string } }[] } }>;
    };
    const parameters = (path: string) =>
      document.paths[`/api/v1/analytics/${path}`]?.get.parameters?.map(
        ({ name, required, schema }) => `${name}${required ? '' : '?'}:${schema.type}`,
      );
    assert.equal(Object.keys(document.paths).length, 5);
    assert.deepEqual(parameters('usage'), ['provider:string', 'limit?:integer']);
    assert.deepEqual(parameters('timeseries')?.slice(-3), ['from:string', 'to:string', 'step:string']);
  });
});

const listOf = (body: Body, list: string, member: string): unknown[] =>
  (body[list] ?? []).map((item: Record<string, unknown>) => item[member]);
