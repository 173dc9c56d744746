import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createPostgresKeyRevocations, type PostgresKeyRevocations } from '../../adapters/postgres/key-revocations.js';
import type { RedisClient } from '../../adapters/redis/connection.js';
import { createSharedKeyExchange } from '../../adapters/redis/shared-key-exchange.js';
import { createAuthenticator } from '../../api/http/authenticate.js';
import { hashSecret } from '../../api/http/key-cache.js';
import { createRemoteKeyExchange } from '../../api/http/key-exchange.js';
import { createServiceFetch } from '../../api/http/service-fetch.js';
import { fixedServices } from '../../api/http/services.js';
import { API_KEY_RANDOM_BYTES, formatApiKey } from '../../domain/api-key.js';
import { log, within, withAuth } from '../auth/support.js';
import { connectTo } from '../redis/support.js';
import { layCable, type Cable } from '../support/cable.js';
import { startTestRedis } from '../support/redis.js';
import { startTestGateway, type TestGateway } from './support.js';

const KEYS = '/api/v1/auth/api-keys';
const WITHIN_MS = 1_000;

/** A gateway with connections of its own, as a process of its own has: to PostgreSQL for revocations, to Redis for what keys are worth. */
interface Gateway extends TestGateway {
  redis: RedisClient;
  revocations: PostgresKeyRevocations;
  /** To PostgreSQL */
  cable: Cable;
  /** Times that the auth service was asked about a key */
  asked: () => number;
}

describe('a revoked API key at a second gateway', function () {
  this.timeout(60_000);
  const auth = withAuth();
  // Apart, so that the gateways end before the auth service and its database do
  describe('with connections of its own', () => revocation(auth));
});

function revocation(auth: ReturnType<typeof withAuth>): void {
  let gateways: [Gateway, Gateway];

  async function startGateway(): Promise<Gateway> {
    const { config, databaseUrl } = auth();
    const url = new URL(databaseUrl);
    const cable = await layCable(Number(url.port));
    url.port = String(cable.port);
    const revocations = await createPostgresKeyRevocations(url.href, log);
    const redis = await connectTo(await startTestRedis(), { LEAKY_REDIS_TIMEOUT_MS: '5000' });
    let asked = 0;
    const remote = createRemoteKeyExchange(createServiceFetch(fixedServices(config.services), 'auth'));
    const shared = createSharedKeyExchange({
      exchange: (rawKey) => ((asked += 1), remote(rawKey)),
      client: redis,
      revocations,
      config: config.auth,
    });
    const authenticator = createAuthenticator({ config, log, revocations, exchange: shared.exchange });
    const gateway = await startTestGateway({ authenticator });
    const close = async () => {
      await gateway.close();
      authenticator.close();
      shared.close();
      await revocations.close();
      await cable.close();
      redis.disconnect();
    };
    return { ...gateway, redis, revocations, cable, asked: () => asked, close };
  }
  const status = async (gateway: Gateway, key: string) =>
    (await fetch(`${gateway.url}/api/v1/tokens/quota`, { headers: { 'x-api-key': key } })).status;
  const revoke = async (owner: { userId: string; token: string }, id: string) => {
    const { status: answer } = await auth().call('DELETE', `${KEYS}?userId=${owner.userId}&apiKeyId=${id}`, { token: owner.token });
    assert.equal(answer, 204);
  };

  before('two gateways', async () => {
    gateways = [await startGateway(), await startGateway()];
  });
  after(() => Promise.all(gateways.map((gateway) => gateway.close())));

  it('is refused within a second by both, whichever learned it, and is gone from Redis', async () => {
    const [first, second] = gateways;
    const owner = await auth().register();
    const { id, rawKey } = await auth().createKey(owner);
    const [before1, before2] = [first.asked(), second.asked()];
    assert.equal(await status(first, rawKey), 200);
    assert.equal(await status(second, rawKey), 200);
    assert.deepEqual([first.asked() - before1, second.asked() - before2], [1, 0], 'the second one knew it from the first');
    await revoke(owner, id);
    await within(WITHIN_MS, async () => (await status(second, rawKey)) === 401);
    await within(WITHIN_MS, async () => (await status(first, rawKey)) === 401);
    assert.equal(await first.redis.exists(`apikey:{${hashSecret(rawKey)}}`), 0);
  });

  for (const how of ['cut', 'hang'] as const) {
    it(`is refused within two rounds of news also when they do not come (${how}), although Redis still has the old answer`, async () => {
      const [first, second] = gateways;
      const owner = await auth().register();
      const { id, rawKey } = await auth().createKey(owner);
      assert.equal(await status(second, rawKey), 200);
      const sealed = await second.redis.getBuffer(`apikey:{${hashSecret(rawKey)}}`);
      assert.ok(sealed);
      first.cable[how]();
      second.cable[how]();
      try {
        await revoke(owner, id);
        await within(WITHIN_MS, async () => (await status(second, rawKey)) === 401);
      } finally {
        first.cable.mend();
        second.cable.mend();
      }
      await within(10_000, async () => first.revocations.live && second.revocations.live);
      // What was put there meanwhile, or never taken away, convinces nobody.
      await second.redis.set(`apikey:{${hashSecret(rawKey)}}`, sealed, 'PX', 60_000);
      assert.deepEqual([await status(first, rawKey), await status(second, rawKey)], [401, 401]);
    });
  }

  it('nothing in Redis shows or opens what is kept there, and what others put there is not believed', async () => {
    const [first] = gateways;
    const owner = await auth().register();
    const { rawKey } = await auth().createKey(owner);
    assert.equal(await status(first, rawKey), 200);
    const name = `apikey:{${hashSecret(rawKey)}}`;
    const kept = String(await first.redis.get(name));
    assert.ok(!kept.includes('eyJ') && !kept.includes(rawKey));
    const stranger = formatApiKey(owner.userId, randomBytes(API_KEY_RANDOM_BYTES));
    await first.redis.set(`apikey:{${hashSecret(stranger)}}`, (await first.redis.getBuffer(name)) ?? '');
    assert.equal(await status(first, stranger), 401);
  });
}
