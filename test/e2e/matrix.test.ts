import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { codecOperations } from '../../api/codec/service.js';
import { composeCodecServer } from '../../compose/codec-server.js';
import { createResources } from '../../compose/resources.js';
import type { Service } from '../../compose/service.js';
import { loadConfig } from '../../config.js';
import { freePort } from '../../embedded/ports.js';
import { createLogger } from '../../telemetry/log.js';
import { withSystem } from '../support/system.js';
import { Contract, OPERATIONS, WAYS, type Way } from './contract.js';
import { call, type CallOptions } from './http.js';
import { CALLERS, ENDED, prepareFixture, type Fixture, type Kind } from './matrix-callers.js';
import { ROWS, type Row } from './matrix-rows.js';
import { Documented } from './openapi.js';
import { People } from './people.js';

describe('who may do what: every operation, by who calls', () => {
  const system = withSystem();
  const people = new People(system);
  const contract = new Contract(system);
  let fixture: Fixture;
  let codec: Service;
  let codecUrl = '';

  before(async function () {
    this.timeout(120_000);
    fixture = await prepareFixture(system(), people);
    const port = await freePort();
    const config = loadConfig({
      LEAKY_AUTH_URL: system().auth,
      LEAKY_CODEC_PORT: String(port),
      LEAKY_CODEC_ORIGINS: 'https://temporal-ui.example',
      LEAKY_PAYLOAD_KEYS: `first:${randomBytes(32).toString('hex')}`,
    });
    codec = await composeCodecServer(createResources({ config, log: createLogger('silent') }));
    codecUrl = `http://127.0.0.1:${port}`;
  });
  after(() => codec?.stop());

  const isCodec = ({ operation }: Row) => codecOperations.some(({ path }) => operation.endsWith(` ${path}`));
  /** The codec server is behind no gateway, keys are exchanged between services only, and the gateway's own operation is on no service. */
  const waysOf = (row: Row): readonly Way[] =>
    isCodec(row) || row.operation.endsWith('/exchange')
      ? ['directly']
      : row.operation.includes(' /fallback/')
        ? ['through the gateway']
        : WAYS;

  async function statusOf(row: Row, way: Way, kind: Kind): Promise<number> {
    const [method = '', template = ''] = row.operation.split(' ');
    const { userId: _, ...credentials } = fixture.credentials[kind];
    const { params = {}, query = {}, body } = row.ask(fixture, fixture.credentials[kind]);
    const path = template.replaceAll(/\{(\w+)\}/g, (_match, name: string) => params[name] ?? `no-${name}`);
    const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const base = isCodec(row) ? codecUrl : contract.baseOf(way, template);
    const options: CallOptions = { token: credentials.token, key: credentials.key, ...(body !== undefined && { body }) };
    return (await call(base, method, path + (search.length > 0 ? `?${search.join('&')}` : ''), options)).status;
  }

  /** What ended is nobody's. At the codec server, which only asks about those whose token says ADMIN, a USER stays one who may not. */
  const expectedOf = (row: Row, kind: Kind): number | undefined => {
    const known = CALLERS.indexOf(kind as (typeof CALLERS)[number]);
    if (known >= 0) return row.expected[known];
    return isCodec(row) && row.expected[0] === 401 && (kind === 'disabled account' || kind === 'deleted account') ? 403 : row.expected[0];
  };

  it('no operation is left out, and none is made up', async () => {
    const documents = await Promise.all(
      [system().gateway, system().auth, system().tokens, system().analytics, codecUrl].map(Documented.at),
    );
    const documented = documents.flatMap((one) => one.operations().map(({ method, template }) => `${method} ${template}`));
    const listed = [...OPERATIONS, ...codecOperations].map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    assert.deepEqual([...new Set(ROWS.map(({ operation }) => operation))].sort(), [...new Set([...documented, ...listed])].sort());
  });

  for (const row of ROWS) {
    it(`${row.operation}: ${row.about}`, async () => {
      assert.equal(row.expected.length, CALLERS.length, 'a column is missing');
      for (const way of waysOf(row)) {
        const seen = await Promise.all(
          [...CALLERS, ...ENDED].map(async (kind): Promise<[Kind, number | undefined]> => [kind, await statusOf(row, way, kind)]),
        );
        const expected = seen.map(([kind]) => [kind, expectedOf(row, kind)]);
        assert.deepEqual(Object.fromEntries(seen), Object.fromEntries(expected), way);
      }
    });
  }

  it('what was said in a call is shown to who called, and to nobody else', async () => {
    const sees = async (kind: Kind, id: string) => {
      const { userId: _, ...credentials } = fixture.credentials[kind];
      const { status, body } = await people.call('GET', `/api/v1/tokens/consume/${id}`, { token: credentials.token, key: credentials.key });
      return status === 200 ? (body.providerResponse === null ? 'explanation' : 'content') : status;
    };
    const { consumption, consumptionOfA } = fixture;
    for (const kind of ['ada', 'key'] as const) assert.equal(await sees(kind, consumption), 'content', kind);
    for (const kind of ['ada', 'key', 'bound'] as const) assert.equal(await sees(kind, consumptionOfA), 'content', kind);
    assert.equal(await sees('admin', consumption), 'explanation');
    for (const kind of ['admin', 'owner'] as const) assert.equal(await sees(kind, consumptionOfA), 'explanation', kind);
    for (const kind of ['member', 'removed', 'other', 'elsewhere', 'adminKey'] as const)
      assert.equal(await sees(kind, consumptionOfA), 404, kind);
  });

  it('a replay is for who called: an ADMIN that repeats a user’s call under its key gets an answer of its own', async () => {
    const { ada, credentials } = fixture;
    const body = { userId: ada.userId, provider: 'openai', tokens: 1, prompt: 'what only ada may read' };
    const headers = { 'Idempotency-Key': `matrix-${randomBytes(6).toString('hex')}` };
    const spend = (kind: 'ada' | 'admin') =>
      people.call('POST', '/api/v1/tokens/consume', { token: credentials[kind].token, headers, body });
    const [first, again, foreign] = [await spend('ada'), await spend('ada'), await spend('admin')];
    assert.deepEqual([first.status, again.status, foreign.status], [200, 200, 200]);
    assert.equal(again.body.consumptionId, first.body.consumptionId);
    assert.notEqual(foreign.body.consumptionId, first.body.consumptionId);
  });

  it('a key bound to A spends, buys and reads for A only, and shows it', async () => {
    const { ada, orgA, credentials } = fixture;
    const { key } = credentials.bound;
    const read = async (path: string, options: CallOptions) => (await people.call('GET', path, options)).body;
    const body = { userId: ada.userId, provider: 'openai' };
    const spent = await people.call('POST', '/api/v1/tokens/consume', { key, body: { ...body, tokens: 7 } });
    assert.equal(spent.status, 200, spent.text);
    assert.equal((await read(`/api/v1/tokens/consume/${spent.body.consumptionId}`, { key })).orgId, orgA);
    const bought = await people.call('POST', '/api/v1/tokens/purchase', { key, body: { ...body, tokens: 1_000 } });
    assert.equal(bought.status, 202, bought.text);
    assert.equal((await read(`/api/v1/tokens/purchase/${bought.body.sagaId}`, { key })).orgId, orgA);
    const { items } = await read('/api/v1/tokens/purchases?limit=100', { key });
    assert.ok(items.length > 0 && items.every(({ orgId }: { orgId: string | null }) => orgId === orgA));
    const usage = await read('/api/v1/analytics/usage?provider=openai&limit=200', { key });
    assert.ok(usage.items.every(({ orgId }: { orgId: string | null }) => orgId === orgA));
    assert.equal((await read('/api/v1/auth/api-keys/validate', { key })).orgId, orgA);
    assert.deepEqual(
      (await read('/api/v1/auth/orgs', { key })).map((org: { orgId: string }) => org.orgId),
      [orgA],
    );
    const listed = await read(`/api/v1/auth/api-keys?userId=${ada.userId}`, { token: ada.token });
    assert.ok((listed as { orgId: string | null }[]).some(({ orgId }) => orgId === orgA));
  });
});
