import { v7 } from 'uuid';
import type { ConsumptionLedger, ConsumptionOutcome, ConsumptionRequest } from '../../activities/consumption-ports.js';
import type { Providers, UsageSink } from '../../activities/ports.js';
import { createMemoryBucketStore } from '../../adapters/memory/bucket-store.js';
import { createConsumptionLedger } from '../../adapters/postgres/ledger.js';
import { createQuotaStore } from '../../adapters/postgres/quota-store.js';
import { createUsageSink } from '../../adapters/postgres/usage-sink.js';
import { createServiceApp, listen } from '../../api/http/service.js';
import type { BatchStarter } from '../../api/tokens/batch-starter.js';
import { createBucketRules } from '../../api/tokens/bucket-rule.js';
import { consumeRoute } from '../../api/tokens/consume-route.js';
import { createConsume } from '../../api/tokens/consume.js';
import { MemoryIntake } from '../../api/tokens/intake.js';
import { RefusalRecorder } from '../../api/tokens/refusals.js';
import { KeyWaiters } from '../../api/tokens/key-waiters.js';
import { longestProviderCallMs, placesInFlight } from '../../api/tokens/service.js';
import { SharedPlaces } from '../../platform/shared-places.js';
import { createResources } from '../../compose/resources.js';
import { loadConfig } from '../../config.js';
import { DEFAULT_PROMPT } from '../../domain/prompt.js';
import { createLogger } from '../../telemetry/log.js';

// The token service's consume route with the workflow left out: each request runs its own statements one after the other, and a
// crash between two of them leaves its hold for ever. The upper bound of what durability could cost. For benchmarks only;
// nothing of the product imports it.
interface Steps {
  ledger: ConsumptionLedger;
  providers: Providers;
  usage: UsageSink;
  answer: (id: string, outcome: ConsumptionOutcome) => void;
}

async function carryOut({ ledger, providers, usage, answer }: Steps, request: ConsumptionRequest): Promise<void> {
  const workflowId = `direct-${v7()}`;
  const { id, provider, model, prompt, tokens } = request;
  const [held] = await ledger.reserve(workflowId, [request]);
  if (held?.state === 'HELD') {
    const outcome = await providers.complete({
      consumptionId: id,
      caller: request.userId,
      provider,
      ...(model !== null && { model }),
      messages: [{ role: 'user', content: prompt ?? DEFAULT_PROMPT }],
      maxTokens: tokens,
    });
    const { attempts } = outcome;
    if (outcome.ok) {
      const { answer: answered } = outcome;
      const [row] = await ledger.settle([{ id, workflowId, charge: tokens, code: null, detail: null, attempts, answer: answered }]);
      answer(id, { kind: 'settled', answer: answered, decidedAt: row?.decidedAt ?? new Date() });
    } else {
      const { code, detail } = outcome;
      await ledger.settle([{ id, workflowId, charge: 0, code, detail, attempts, answer: null }]);
      answer(id, { kind: 'ended', code, detail });
    }
  } else {
    answer(id, { kind: 'ended', code: 'INSUFFICIENT_QUOTA', detail: 'insufficient token quota' });
  }
  await usage.publish(await ledger.usageOf(workflowId, [id]));
}

const config = loadConfig();
const log = createLogger(config.logLevel);
const resources = createResources({ config, log });
const database = resources.database();
const ledger = createConsumptionLedger(database, { enforceQuota: config.flags.quotaEnforcement });
const usage = createUsageSink(database);
const providers = resources.providers();
const quota = createQuotaStore(database);
const memberships = await resources.memberships();
const intake = new MemoryIntake();
const { required } = await resources.authenticator();

const fail = (id: string, error: unknown) => {
  log.error({ err: error, id }, 'a consumption failed');
  intake.answer(id, { kind: 'ended', code: 'INTERNAL', detail: 'a step failed' });
};
const steps: Steps = { ledger, providers, usage, answer: (id, outcome) => intake.answer(id, outcome) };
const submit = (request: ConsumptionRequest) => void carryOut(steps, request).catch((error: unknown) => fail(request.id, error));
const consume = createConsume({
  ledger,
  providers,
  intake,
  buckets: createMemoryBucketStore(),
  starter: { submit } as unknown as BatchStarter,
  refusals: new RefusalRecorder(ledger, usage, log),
  waiters: new KeyWaiters(placesInFlight(config), config.consumption.waitingPerKey),
  inFlight: new SharedPlaces(placesInFlight(config)),
  answerWithinMs: longestProviderCallMs(config),
});
const app = createServiceApp({
  name: 'direct',
  title: 'Consumption without a workflow',
  config,
  log,
  operations: [],
  serverUrl: config.publicUrl,
  routes: (router) => {
    router.use('/api/v1/tokens', required);
    const bucketRuleOf = createBucketRules(quota, config.bucket);
    const claim = () => () => undefined;
    router.post('/api/v1/tokens/consume', consumeRoute({ claim, consume, memberships, bucketRuleOf, quota, upgradeUrl: config.publicUrl }));
  },
});
const server = await listen(app, config.host, Number(process.argv[2]));
process.stdout.write('ready\n');

process.once('SIGTERM', () => {
  void server.close(1_000).then(() => resources.close());
});
