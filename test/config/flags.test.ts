import assert from 'node:assert/strict';
import { withDatabase } from '../support/postgres.js';
import { withTemporal } from '../support/temporal.js';
import { assertSound } from '../support/soundness.js';
import { buy, poolRow, userPool } from '../support/consumptions.js';
import { startTokenServiceRig, type TokenServiceRig } from '../support/token-service.js';

// The other flags: test/gateway/limits.test.ts, test/auth/api-keys.test.ts, test/purchase/http.test.ts.
describe('consumption with the flag quotaEnforcement off', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  let rig: TokenServiceRig;
  before(async () => {
    const environment = { LEAKY_FLAG_QUOTA_ENFORCEMENT: 'off' };
    rig = await startTokenServiceRig({ database: database().pool, temporal: temporal(), environment });
  });
  after(() => rig.stop());

  it('lets through what the quota does not cover, charges what it does, and keeps the books', async () => {
    const [rich, poor, none] = [userPool(), userPool(), userPool()];
    await buy(database().pool, rich, 100);
    await buy(database().pool, poor, 5);
    for (const { ownerId } of [rich, poor, none]) {
      const { status, body } = await rig.consume({ userId: ownerId, provider: 'openai', tokens: 10, prompt: 'hello' });
      assert.equal(status, 200, JSON.stringify(body));
    }
    const purchased = async (pool: typeof rich) => (await poolRow(database().pool, pool))['purchased'];
    assert.deepEqual([await purchased(rich), await purchased(poor)], [90, 5]);
    await assertSound(database().pool);
  });
});
