import assert from 'node:assert/strict';
import { newBuyer } from '../support/buyers.js';
import { buy, userPool } from '../support/consumptions.js';
import { eventually } from '../support/eventually.js';
import { connectionLost } from '../support/faulty.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type ConsumeAnswer, type TokenServiceRig } from '../support/token-service.js';

const PER_SECOND = 16;
/** More than the SDK's 40 slots hold at that rate when each batch stays for longer than 2.5 s */
const LASTING_MS = 4_500;
/** Undisturbed they take a tenth of it on a quiet machine; with 40 slots, until others end */
const UNDISTURBED_MS = 2_500;

interface Told {
  answer: ConsumeAnswer;
  tookMs: number;
}

describe('batches that wait', function () {
  this.timeout(90_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig | undefined;
  afterEach(() => rig?.stop());
  const environment = { LEAKY_BUCKET_CAPACITY: '1000000', LEAKY_PROVIDER_TIMEOUT_MS: '20000' };

  /** Calls at fixed times, as independent callers send them */
  async function atFixedTimes(count: number, call: () => Promise<ConsumeAnswer>): Promise<Told[]> {
    const told: Promise<Told>[] = [];
    const from = performance.now();
    for (let number = 0; number < count; number++) {
      const due = from + (number * 1_000) / PER_SECOND;
      await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      told.push(call().then((answer) => ({ answer, tookMs: performance.now() - due })));
    }
    return Promise.all(told);
  }

  const longest = (told: Told[]) => Math.max(...told.map(({ tookMs }) => tookMs));
  const statuses = (told: Told[]) => [...new Set(told.map(({ answer }) => answer.status))];

  it('for a slow provider do not delay calls to another one', async () => {
    const service = await startTokenServiceRig({ database: database().pool, temporal: temporal(), environment });
    rig = service;
    const [slow, fast] = [await newBuyer(database().pool, 1_000), await newBuyer(database().pool, 0)];
    await buy(database().pool, userPool(fast.userId, 'gemini'), 1_000);
    const latency = (url: string, latencyMs: number) => fetch(`${url}/control`, { method: 'PUT', body: JSON.stringify({ latencyMs }) });
    await Promise.all([latency(service.stubUrls.openai, LASTING_MS), latency(service.stubUrls.gemini, 50)]);

    const slowCalls = atFixedTimes(PER_SECOND * 6, () => service.consume(slow.order({ tokens: 1 })));
    await eventually('more batches wait than the SDK has slots', () => service.intake.openBatches > 40);
    const fastCalls = await atFixedTimes(PER_SECOND * 3, () => service.consume(fast.order({ tokens: 1, provider: 'gemini' })));
    assert.deepEqual(statuses(fastCalls), [200]);
    assert.ok(longest(fastCalls) < UNDISTURBED_MS, `a fast call took ${longest(fastCalls)} ms`);
    assert.deepEqual(statuses(await slowCalls), [200]);
    await eventually('usage is recorded', () => service.intake.openBatches === 0);
    await assertSound(database().pool);
  });

  it('for a usage store that is away do not delay calls, and all is as before once it is back', async () => {
    let away = true;
    const service = await startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      environment,
      usage: (real) => ({ publish: (events) => (away ? connectionLost() : real.publish(events)) }),
    });
    rig = service;
    const buyer = await newBuyer(database().pool, 1_000);
    const meanwhile = await atFixedTimes(PER_SECOND * 6, () => service.consume(buyer.order({ tokens: 1 })));
    assert.ok(service.intake.openBatches > 40, `${service.intake.openBatches} batches wait for the usage store`);
    away = false;
    const afterwards = await atFixedTimes(PER_SECOND * 2, () => service.consume(buyer.order({ tokens: 1 })));
    for (const told of [meanwhile, afterwards]) {
      assert.deepEqual(statuses(told), [200]);
      assert.ok(longest(told) < UNDISTURBED_MS, `a call took ${longest(told)} ms`);
    }
    await eventually('every call is recorded', async () => (await buyer.events()) === meanwhile.length + afterwards.length, 30_000);
    await eventually('no batch is left', () => service.intake.openBatches === 0);
    await assertSound(database().pool);
  });
});
