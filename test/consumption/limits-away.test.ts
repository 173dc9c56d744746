import assert from 'node:assert/strict';
import { createMemoryBucketStore } from '../../adapters/memory/bucket-store.js';
import { createRedisBucketStore } from '../../adapters/redis/bucket-store.js';
import { connectRedis } from '../../adapters/redis/connection.js';
import { bucketsDespite } from '../../adapters/redis/despite-outage.js';
import { RedisOutage } from '../../adapters/redis/outage.js';
import { loadConfig } from '../../config.js';
import { freePort } from '../../embedded/ports.js';
import { createLogger } from '../../telemetry/log.js';
import { newBuyer } from '../support/buyers.js';
import { withDatabase } from '../support/postgres.js';
import { assertSound } from '../support/soundness.js';
import { withTemporal } from '../support/temporal.js';
import { startTokenServiceRig } from '../support/token-service.js';

describe('consumption while Redis is away', function () {
  this.timeout(60_000);
  const database = withDatabase();
  const temporal = withTemporal();
  const log = createLogger('silent');

  const expected = { local: [200, undefined, 'SETTLED', 990], refuse: [503, 'LIMITS_UNAVAILABLE', 'REFUSED', 1_000] } as const;
  for (const policy of ['local', 'refuse'] as const) {
    it(`${policy}: ${expected[policy][0]}, and the attempt is on record`, async () => {
      const client = await connectRedis(loadConfig({ LEAKY_REDIS_URL: `redis://127.0.0.1:${await freePort()}` }).redis, log);
      const outage = new RedisOutage(client, policy, log);
      const buckets = bucketsDespite(outage, createRedisBucketStore(client), createMemoryBucketStore());
      const rig = await startTokenServiceRig({ database: database().pool, temporal: temporal(), buckets });
      try {
        const buyer = await newBuyer(database().pool);
        const { status, body, headers } = await rig.consume(buyer.order());
        const [row] = await buyer.rows();
        assert.deepEqual([status, body['code'], row?.state, (await buyer.balance())['purchased']], expected[policy]);
        assert.equal(headers.get('retry-after'), policy === 'refuse' ? '1' : null);
        await assertSound(database().pool);
        assert.equal(await buyer.events(), 1);
      } finally {
        await rig.stop();
        client.disconnect();
      }
    });
  }
});
