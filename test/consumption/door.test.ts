import assert from 'node:assert/strict';
import { newBuyer } from '../support/buyers.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type TokenServiceRig } from '../support/token-service.js';

describe('the door of the token service', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig | undefined;
  afterEach(async () => {
    await rig?.stop();
  });
  const start = async (limit: number, latencyMs: number) => {
    rig = await startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      environment: {
        LEAKY_CONSUMPTIONS_WORKING: String(limit),
        LEAKY_CALLER_SHARE: '1',
        LEAKY_BUCKET_CAPACITY: '100000',
        LEAKY_PROVIDER_TIMEOUT_MS: '5000',
      },
    });
    await fetch(`${rig.stubUrl}/control`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ latencyMs }),
    });
    return rig;
  };

  it('turns away what comes while it has its limit to work on, with Retry-After; those inside are served and charged once', async () => {
    const { consume } = await start(8, 0);
    const buyer = await newBuyer(database().pool, 10_000);
    const body = buyer.order({ tokens: 1 });
    const answers = await Promise.all(Array.from({ length: 60 }, () => consume(body)));
    const served = answers.filter(({ status }) => status === 200).length;
    const refused = answers.filter(({ status }) => status === 503);
    assert.equal(served + refused.length, 60);
    assert.ok(served >= 8, `${served} were served`);
    assert.ok(refused.length > 0, 'some were turned away');
    for (const { headers, body: problem } of refused) {
      assert.equal(headers.get('retry-after'), '1');
      assert.equal(headers.get('content-type'), 'application/problem+json; charset=utf-8');
      assert.equal(problem['code'], 'OVERLOADED');
      assert.equal(problem['correlationId'], headers.get('x-correlation-id'));
    }
    const rows = await buyer.rows();
    assert.equal(rows.filter(({ state }) => state === 'SETTLED').length, served);
    assert.equal(rows.length, served, 'what was turned away left no trace in the ledger');
    assert.equal((await consume(body)).status, 200, 'when they are out, there is room again');
  });

  it('does not count those that wait for their provider', async () => {
    const { consume, callsOf } = await start(8, 3_000);
    const buyer = await newBuyer(database().pool, 10_000);
    const body = buyer.order({ tokens: 1 });
    const withProvider = async () => {
      const calls = await Promise.all((await buyer.rows()).map(({ id }) => callsOf(id)));
      return calls.filter((count) => count > 0).length;
    };
    const inside: ReturnType<typeof consume>[] = [];
    // More than the limit, a few at a time: each few is with the provider before the next ones come.
    for (let turn = 0; turn < 4; turn++) {
      inside.push(...Array.from({ length: 6 }, () => consume(body)));
      await eventually('all are with the provider', async () => (await withProvider()) === inside.length);
    }
    assert.deepEqual(new Set((await Promise.all(inside)).map(({ status }) => status)), new Set([200]));
  });
});
