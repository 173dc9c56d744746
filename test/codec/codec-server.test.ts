import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { createPurchaseEngine } from '../../adapters/temporal/purchases.js';
import { createCodecApp } from '../../api/codec/service.js';
import { listen, type RunningServer } from '../../api/http/service.js';
import { composeCodecServer, createCipher } from '../../compose/codec-server.js';
import { createResources } from '../../compose/resources.js';
import type { Service } from '../../compose/service.js';
import { payloadKeys } from '../../compose/temporal.js';
import { loadConfig } from '../../config.js';
import { WORKFLOWS, workflowIds, type PurchaseState } from '../../contracts/temporal.js';
import { freePort } from '../../embedded/ports.js';
import { findTemporalCli } from '../../embedded/temporal-cli.js';
import { sealedWith } from '../../temporal-config/payload-codec.js';
import { assertProblem, call, log, pointingAt, withAuth } from '../auth/support.js';
import { activitiesOn } from '../purchase/activities.js';
import { orderOf } from '../purchase/bench.js';
import { withClusterNamespace } from '../support/cluster-namespace.js';
import { withDatabase } from '../support/postgres.js';

const run = promisify(execFile);
const TOKEN = randomBytes(16).toString('hex');
const UI = 'https://temporal-ui.example';
const keys = { LEAKY_PAYLOAD_KEYS: `first:${randomBytes(32).toString('hex')}` };
const settings = { ...keys, LEAKY_CODEC_TOKEN: TOKEN, LEAKY_CODEC_ORIGINS: UI, LEAKY_CODEC_BODY_LIMIT_BYTES: '10000' };

const base64 = (text: string) => Buffer.from(text).toString('base64');
const plain = (value: unknown) => ({ metadata: { encoding: base64('json/plain') }, data: base64(JSON.stringify(value)) });

describe('the codec server', function () {
  this.timeout(60_000);
  const auth = withAuth();
  let server: Service;
  let url = '';
  before(async () => {
    const port = await freePort();
    const config = pointingAt(loadConfig({ ...settings, LEAKY_CODEC_PORT: String(port) }), auth().url);
    // Neither a database nor Temporal is configured: it needs none.
    server = await composeCodecServer(createResources({ config, log }));
    url = `http://127.0.0.1:${port}`;
  });
  after(() => server.stop());
  const post = (path: string, payloads: unknown, options: Parameters<typeof call>[3] = { token: TOKEN }) =>
    call(url, 'POST', path, { body: { payloads }, ...options });

  it('seals and opens, in order, and leaves alone what is readable, sealed already or of a key it has not', async () => {
    const given = [plain('a'), plain({ b: 1 })];
    const sealed = (await post('/encode', given)).body.payloads as ReturnType<typeof plain>[];
    assert.ok(sealed.every(({ metadata }) => metadata.encoding === base64('binary/encrypted')));
    assert.deepEqual((await post('/encode', sealed)).body.payloads, sealed);
    const stranger = createCipher({ keys: new Map([['other', randomBytes(32)]]), active: 'other' });
    const foreign = await stranger.seal(plain('c'));
    assert.deepEqual(
      (await call(url, 'POST', '/encode', { body: {}, token: TOKEN })).body.payloads,
      [],
      'the CLI leaves an empty list out',
    );
    const opened = await post('/decode', [...sealed, plain('d'), foreign]);
    assert.deepEqual(opened.body.payloads, [...given, plain('d'), foreign]);
  });

  it('lets in the configured token and an ADMIN, and nobody else', async () => {
    const user = await auth().register();
    const admin = await auth().adminToken();
    const { rawKey } = await auth().createKey(user);
    assert.equal((await post('/decode', [plain('a')], { token: admin })).status, 200);
    assertProblem(await post('/decode', [plain('a')], {}), 401, 'UNAUTHENTICATED');
    assertProblem(await post('/decode', [plain('a')], { token: `${TOKEN}x` }), 401, 'UNAUTHENTICATED');
    assertProblem(await post('/decode', [plain('a')], { token: user.token }), 403, 'FORBIDDEN');
    assertProblem(await post('/encode', [plain('a')], { key: rawKey }), 403, 'FORBIDDEN');
  });

  it('refuses what is no list of payloads, is too large, or was changed', async () => {
    const sealed = (await post('/encode', [plain('a')])).body.payloads as ReturnType<typeof plain>[];
    const changed = sealed.map((payload) => ({ ...payload, data: base64('x'.repeat(60)) }));
    assertProblem(await post('/decode', changed), 400, 'INVALID_REQUEST');
    for (const payloads of [5, 'a', [{ data: 'not base64!' }], [{ metadata: { a: 1 } }]]) {
      assertProblem(await post('/decode', payloads), 400, 'INVALID_REQUEST');
    }
    assertProblem(await call(url, 'POST', '/decode', { raw: '{', token: TOKEN }), 400, 'MALFORMED_JSON');
    assertProblem(await post('/decode', [plain('a'.repeat(10_000))]), 413, 'PAYLOAD_TOO_LARGE');
  });

  it('lets only pages of the Web UI read its answers, with a session that signing in has begun', async () => {
    const preflight = (origin: string) =>
      fetch(`${url}/decode`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-namespace' },
      });
    const [ui, other] = await Promise.all([preflight(UI), preflight('https://elsewhere.example')]);
    assert.equal(ui.headers.get('access-control-allow-origin'), UI);
    assert.equal(ui.headers.get('access-control-allow-credentials'), 'true');
    assert.match(ui.headers.get('access-control-allow-headers') ?? '', /x-namespace/);
    assert.equal(other.headers.get('access-control-allow-origin'), null);

    assertProblem(await call(url, 'POST', '/session', { token: 'wrong' }), 401);
    const session = await call(url, 'POST', '/session', { token: TOKEN });
    const cookie = session.headers.get('set-cookie') ?? '';
    assert.match(cookie, /HttpOnly; SameSite=Strict/);
    const asBrowser = await post('/decode', [plain('a')], { headers: { cookie: cookie.split(';')[0] ?? '', origin: UI } });
    assert.deepEqual([asBrowser.status, asBrowser.body.payloads], [200, [plain('a')]]);
  });
});

describe('the Temporal CLI with the codec server', function () {
  this.timeout(120_000);
  const cluster = withClusterNamespace('codec');
  const database = withDatabase();
  let server: RunningServer;
  let endpoint: string[] = [];
  before(async () => {
    const config = cluster().config(settings);
    const cipher = createCipher(payloadKeys(config) ?? assert.fail('no keys'));
    server = await listen(createCodecApp({ config, log, cipher, authenticate: (_req, _res, next) => next() }), '127.0.0.1', 0);
    endpoint = ['--codec-endpoint', `http://127.0.0.1:${server.port}`, '--codec-auth', `Bearer ${TOKEN}`];
  });
  after(() => server.close(1_000));

  async function temporal(...args: string[]): Promise<string> {
    const { cacheDir, temporal: where } = loadConfig();
    const cli = await findTemporalCli({ explicit: where.cli, searchPath: where.searchPath, cacheDir, progress: () => undefined });
    const { stdout } = await run(cli, [...args, ...(await cluster().server.cliArguments('codec'))], { maxBuffer: 1e8 });
    return stdout;
  }

  it('shows histories, queries and results that nobody can read without it, and seals what it sends', async () => {
    const taskQueue = `codec-${randomUUID()}`;
    await cluster().work(taskQueue, { ...activitiesOn(database().pool), findAnomalies: () => [] }, keys);
    const { client } = await cluster().connect(keys);
    const order = orderOf({ method: 'sim_capture_fails' });
    await createPurchaseEngine({ client, taskQueue }).start(order);
    const workflowId = workflowIds.purchase(order.sagaId);
    const state = (await client.workflow.getHandle(workflowId).result()) as PurchaseState;

    const show = ['workflow', 'show', '--workflow-id', workflowId, '--output', 'json'];
    const query = ['workflow', 'query', '--workflow-id', workflowId, '--type', 'status'];
    const [shown, unopened, answer, hidden] = await Promise.all([
      temporal(...show, ...endpoint),
      temporal(...show),
      temporal(...query, ...endpoint),
      temporal(...query),
    ]);
    for (const text of [order.paymentMethod, order.payloadHash, 'CAPTURE_DECLINED']) {
      assert.ok(contentOf(shown).includes(text), text);
      assert.ok(!contentOf(unopened).includes(text), text);
    }
    assert.match(answer, new RegExp(state.failureDetail ?? 'no detail'));
    assert.doesNotMatch(hidden, /CAPTURE_DECLINED/);

    const input = JSON.stringify({ windowMinutes: 1, baselineWindows: 1, thresholdMultiplier: 2 });
    const started = `scan-${randomUUID()}`;
    const start = ['workflow', 'start', '--type', WORKFLOWS.scanAnomalies, '--task-queue', taskQueue, '--workflow-id', started];
    await temporal(...start, '--input', input, ...endpoint);
    const handle = client.workflow.getHandle(started);
    assert.deepEqual(((await handle.result()) as { anomalies: unknown[] }).anomalies, []);
    const [{ workflowExecutionStartedEventAttributes: begun } = {}] = (await handle.fetchHistory()).events ?? [];
    assert.deepEqual(begun?.input?.payloads?.map(sealedWith), ['first']);
  });
});

/** Of a history as the CLI prints it: the bytes of payloads are base64 there. */
const contentOf = (history: string): string =>
  history + [...history.matchAll(/"data": ?"([^"]*)"/g)].map(([, data]) => Buffer.from(data ?? '', 'base64').toString()).join('\n');
