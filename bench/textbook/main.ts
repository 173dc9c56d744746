import express from 'express';
import path from 'node:path';
import { Agent } from 'undici';
import { v7 } from 'uuid';
import { Worker } from '@temporalio/worker';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { listen } from '../../api/http/service.js';
import { createResources } from '../../compose/resources.js';
import { loadConfig } from '../../config.js';
import { consumeBody } from '../../contracts/http/tokens.js';
import { workflowIds } from '../../contracts/temporal.js';
import { distRoot } from '../../root.js';
import { createLogger } from '../../telemetry/log.js';
import { createTextbookActivities } from './activities.js';

// A token service of the textbook kind beside the real one: same database, same Temporal server, same provider stubs.
// Without authentication and bucket, which favours it. For benchmarks only; nothing of the product imports it.
const TASK_QUEUE = 'bench-textbook';
/** openSaga, reservePayment, allocateTokens, capturePayment, completePurchase */
const ACTIVITIES_OF_A_PURCHASE = 5;
const config = loadConfig();
const resources = createResources({ config, log: createLogger('warn') });
const { client, connection, namespace } = await resources.temporal();
const database = resources.database();

const worker = await Worker.create({
  connection,
  namespace,
  taskQueue: TASK_QUEUE,
  workflowsPath: path.join(distRoot, 'bench/textbook/workflows.js'),
  activities: createTextbookActivities({
    ledger: createConsumptionLedger(database, { enforceQuota: true }),
    providers: resources.providers(),
    usage: createUsageSink(database),
  }),
});
const running = worker.run();

const app = express();
app.use(express.json());
let inFlight = 0;
app.get('/in-flight', (_req, res) => {
  res.send(String(inFlight));
});
app.post('/api/v1/tokens/consume', async (req, res) => {
  inFlight++;
  const { userId, orgId = null, provider, tokens, prompt = null } = consumeBody.parse(req.body);
  const request = { id: v7(), userId, orgId, provider, tokens, prompt, model: null, tag: null, payloadHash: '', keyed: false };
  const executed = client.workflow.execute('textbookConsume', {
    taskQueue: TASK_QUEUE,
    workflowId: `textbook-${request.id}`,
    args: [{ ...request, correlationId: request.id, bucket: { capacity: 0, used: 0, remaining: 0 } }],
  });
  const state = await executed.finally(() => inFlight--);
  res.status(state === 'SETTLED' ? 200 : 402).json({ state });
});

// Both answer when their workflow has ended, waited for in the same way, so that only the work differs.
const agent = new Agent({ connections: 500 });
app.post('/purchase', async (req, res) => {
  const headers = { 'content-type': 'application/json', authorization: req.headers.authorization ?? '' };
  const { statusCode, body } = await agent.request({
    origin: config.services.tokens,
    path: '/api/v1/tokens/purchase',
    method: 'POST',
    headers,
    body: JSON.stringify(req.body),
  });
  const { sagaId = '' } = (await body.json()) as { sagaId?: string };
  const state = statusCode === 202 ? await client.workflow.getHandle(workflowIds.purchase(sagaId)).result() : null;
  res.status((state as { status?: string } | null)?.status === 'COMPLETED' ? 200 : 500).json(state);
});
app.post('/bare', async (_req, res) => {
  await client.workflow.execute('bare', { taskQueue: TASK_QUEUE, workflowId: `bare-${v7()}`, args: [ACTIVITIES_OF_A_PURCHASE] });
  res.json({});
});
const server = await listen(app, config.host, Number(process.argv[2]));
process.stdout.write('ready\n');

process.once('SIGTERM', () => {
  void (async () => {
    await server.close(1_000);
    worker.shutdown();
    await running;
    await agent.close();
    await resources.close();
  })();
});
