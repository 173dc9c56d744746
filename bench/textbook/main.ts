import express from 'express';
import path from 'node:path';
import { v7 } from 'uuid';
import { Worker } from '@temporalio/worker';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { listen } from '../../api/http/service.js';
import { createResources } from '../../compose/resources.js';
import { loadConfig } from '../../config.js';
import { consumeBody } from '../../contracts/http/tokens.js';
import { distRoot } from '../../root.js';
import { createLogger } from '../../telemetry/log.js';
import { createTextbookActivities } from './activities.js';

// A token service of the textbook kind beside the real one: same database, same Temporal server, same provider stubs.
// Without authentication and bucket, which favours it. For benchmarks only; nothing of the product imports it.
const TASK_QUEUE = 'bench-textbook';
const config = loadConfig();
const resources = createResources({ config, log: createLogger('warn'), alone: false });
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
  const { userId, provider, tokens, prompt = null } = consumeBody.parse(req.body);
  const request = { id: v7(), userId, orgId: null, provider, tokens, prompt, model: null, tag: null, payloadHash: '', keyed: false };
  const executed = client.workflow.execute('textbookConsume', {
    taskQueue: TASK_QUEUE,
    workflowId: `textbook-${request.id}`,
    args: [{ ...request, correlationId: request.id, bucket: { capacity: 0, used: 0, remaining: 0 } }],
  });
  const state = await executed.finally(() => inFlight--);
  res.status(state === 'SETTLED' ? 200 : 402).json({ state });
});
const server = await listen(app, config.host, Number(process.argv[2]));
process.stdout.write('ready\n');

process.once('SIGTERM', () => {
  void (async () => {
    await server.close(1_000);
    worker.shutdown();
    await running;
    await resources.close();
  })();
});
