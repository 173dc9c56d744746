import assert from 'node:assert/strict';
import { newBuyer } from '../support/buyers.js';
import { eventually } from '../support/eventually.js';
import { withDatabase } from '../support/postgres.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig, type TokenServiceRig } from '../support/token-service.js';

describe('what a provider declines', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig;
  before(async () => {
    rig = await startTokenServiceRig({
      database: database().pool,
      temporal: temporal(),
      environment: { LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS: '4', LEAKY_BUCKET_CAPACITY: '100000' },
    });
  });
  after(() => rig.stop());

  const refusals: [string, number, string, RegExp][] = [
    ['refuse=answer', 422, 'CONTENT_FILTERED', /content filter/],
    ['refuse=prompt', 422, 'CONTENT_FILTERED', /content filter/],
    ['refuse=tools', 422, 'NO_TEXT_ANSWER', /without text/],
    ['nonsense=huge', 422, 'ANSWER_TOO_LARGE', /larger/],
    ['refuse=context', 400, 'CONTEXT_TOO_LONG', /longer than the model takes/],
    ['refuse=model', 400, 'UNKNOWN_MODEL', /no such model/],
    ['status=400', 400, 'PROVIDER_REJECTED', /refused the request/],
    ['refuse=quota', 503, 'PROVIDER_QUOTA_EXHAUSTED', /quota at the provider/],
    ['status=429', 503, 'PROVIDER_RATE_LIMITED', /for the moment/],
  ];
  for (const [marker, status, code, text] of refusals) {
    it(`ends as ${status} ${code} after one call, each of ten times (${marker}); nothing is charged, and calls go on`, async () => {
      const buyer = await newBuyer(database().pool, 1_000);
      for (let turn = 0; turn < 10; turn++) {
        const refused = await rig.consume(buyer.order({ tokens: 10, prompt: `[stub:${marker}] ${turn}` }));
        assert.deepEqual([refused.status, refused.body['code']], [status, code]);
        assert.match(String(refused.body['message']), text);
        assert.equal(await rig.callsOf(String(refused.body['consumptionId'])), 1);
        assert.equal(refused.headers.get('retry-after') !== null, status === 503);
      }
      const { purchased, reserved } = await buyer.balance();
      assert.deepEqual([purchased, reserved], [1_000, 0]);
      assert.equal((await rig.consume(buyer.order({ tokens: 10, prompt: 'well?' }))).status, 200, 'the breaker is closed');
    });
  }

  it('for a moment only leaves its Idempotency-Key free; for good it is the answer under its key', async () => {
    const buyer = await newBuyer(database().pool, 1_000);
    const calls = async (prompt: string, key: string) => {
      const answers = [];
      for (let turn = 0; turn < 2; turn++) {
        answers.push(await rig.consume(buyer.order({ tokens: 10, prompt }), { 'idempotency-key': key }));
      }
      return answers.map(({ body, headers }) => [body['consumptionId'], headers.get('idempotent-replayed')]);
    };
    const [limited, again] = await calls('[stub:status=429] a', 'limited');
    assert.notEqual(limited?.[0], again?.[0], 'the second one called again');
    const [filtered, replayed] = await calls('[stub:refuse=answer] b', 'filtered');
    assert.equal(filtered?.[0], replayed?.[0]);
    assert.equal(replayed?.[1], 'true');
  });

  for (const [marker, status, code, retryAfter] of [
    ['[stub:status=503] [stub:retry-after=60]', 502, 'PROVIDER_FAILED', '60'],
    ['[stub:status=500] [stub:retry-after=99999]', 502, 'PROVIDER_FAILED', '3600'],
    ['[stub:status=429] [stub:retry-after=7]', 503, 'PROVIDER_RATE_LIMITED', '7'],
    ['[stub:fail]', 502, 'PROVIDER_FAILED', null],
  ] as const) {
    it(`passes on when the provider wants to be asked again: ${marker} is ${status} with Retry-After ${retryAfter}`, async () => {
      const buyer = await newBuyer(database().pool, 1_000);
      const { status: got, body, headers } = await rig.consume(buyer.order({ tokens: 10, prompt: marker }));
      assert.deepEqual([got, body['code'], headers.get('retry-after')], [status, code, retryAfter]);
      if (code === 'PROVIDER_FAILED') assert.equal(body['message'], 'provider call failed');
      await eventually('its usage is recorded', async () => (await buyer.events()) === 1);
    });
  }
});
