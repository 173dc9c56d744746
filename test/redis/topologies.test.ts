import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Redis, type Cluster } from 'ioredis';
import { createMemoryBucketStore } from '../../adapters/memory/bucket-store.js';
import { createRedisBucketStore } from '../../adapters/redis/bucket-store.js';
import type { RedisClient } from '../../adapters/redis/connection.js';
import { bucketsDespite } from '../../adapters/redis/despite-outage.js';
import { RedisOutage } from '../../adapters/redis/outage.js';
import { createRedisRateLimitStore } from '../../adapters/redis/rate-limit-store.js';
import { ConfigError } from '../../config.js';
import { bucketStoreContract } from '../contract/bucket-store.js';
import { rateLimitStoreContract } from '../contract/rate-limit-store.js';
import { createAuthority, type Authority } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../../embedded/ports.js';
import { startOwnRedis, type OwnRedis } from '../support/redis-server.js';
import { connectTo, log, PATIENT } from './support.js';

const SLOTS = 16_384;
const PASSWORD = 'p@ss:w/rd';
const ENCODED = encodeURIComponent(PASSWORD);

function contracts(client: () => RedisClient): void {
  describe('BucketStore', () => bucketStoreContract(() => createRedisBucketStore(client())));
  describe('RateLimitStore', () => rateLimitStoreContract(() => createRedisRateLimitStore(client())));
}

describe('Redis Cluster of three nodes', function () {
  this.timeout(60_000);
  let nodes: OwnRedis[];
  let client: Cluster;

  before('a cluster', async () => {
    const buses = await Promise.all(Array.from({ length: 3 }, () => freePort()));
    nodes = await Promise.all(
      buses.map((bus) => startOwnRedis({ settings: () => ['cluster-enabled yes', `cluster-port ${bus}`, 'cluster-node-timeout 1000'] })),
    );
    const direct = nodes.map(({ port }) => new Redis({ port }));
    const third = Math.ceil(SLOTS / 3);
    await Promise.all(direct.map((node, index) => node.cluster('ADDSLOTSRANGE', index * third, Math.min((index + 1) * third, SLOTS) - 1)));
    for (const [index, { port }] of nodes.entries()) await direct[0]?.call('CLUSTER', 'MEET', '127.0.0.1', port, buses[index] ?? 0);
    await eventually('every node sees the whole cluster', async () =>
      (await Promise.all(direct.map((node) => node.cluster('INFO')))).every(
        (info) => String(info).includes('cluster_state:ok') && String(info).includes('cluster_known_nodes:3'),
      ),
    );
    direct.forEach((node) => node.disconnect());
    // One node is enough to find the others.
    client = (await connectTo(nodes[0]?.url ?? '', { ...PATIENT, LEAKY_REDIS_CLUSTER: 'true' })) as Cluster;
  });
  after(() => client?.disconnect());

  contracts(() => client);

  it('spreads users over the nodes, and keeps the buckets of one together', async () => {
    const store = createRedisBucketStore(client);
    const rule = { strategy: 'LEAKY_BUCKET', capacity: 10, leakPerSecond: 1, windowMs: 60_000 } as const;
    const users = Array.from({ length: 20 }, () => randomUUID());
    for (const user of users) for (const provider of ['openai', 'qwen']) await store.pour(`bucket:{${user}}:${provider}`, rule, 1);
    const found = await Promise.all(client.nodes('master').map((node) => node.keys('bucket:{*}:*')));
    for (const keys of found) {
      const here = users.filter((user) => keys.includes(`bucket:{${user}}:openai`));
      assert.ok(here.length > 0, 'each node has some');
      for (const user of here) assert.ok(keys.includes(`bucket:{${user}}:qwen`));
    }
  });

  it('a user it does not know is told at once', async () => {
    const url = `redis://nobody:secret@127.0.0.1:${nodes[0]?.port}`;
    await assert.rejects(connectTo(url, { LEAKY_REDIS_CLUSTER: 'true' }), (error: unknown) => {
      return error instanceof ConfigError && error.message.includes('WRONGPASS');
    });
  });

  it('one node lost: its users are decided on locally within the time limit, the others as before; it comes back by itself', async () => {
    const rule = { strategy: 'LEAKY_BUCKET', capacity: 10, leakPerSecond: 1e-6, windowMs: 60_000 } as const;
    const hasty = await connectTo(nodes[0]?.url ?? '', { LEAKY_REDIS_CLUSTER: 'true' });
    const store = bucketsDespite(new RedisOutage(hasty, 'local', log), createRedisBucketStore(hasty), createMemoryBucketStore());
    const keys = Array.from({ length: 12 }, () => `bucket:{${randomUUID()}}:openai`);
    nodes[2]?.signal('SIGKILL');
    for (const key of keys) {
      const began = performance.now();
      assert.equal((await store.pour(key, rule, 1)).allowed, true);
      const took = performance.now() - began;
      assert.ok(took < 2_000, `it took ${took.toFixed(0)} ms`);
    }
    await nodes[2]?.start();
    const shared = createRedisBucketStore(hasty);
    await eventually('all keys are decided on in Redis', () =>
      Promise.all(keys.map((key) => shared.pour(key, rule, 1))).then(
        () => true,
        () => false,
      ),
    );
    hasty.disconnect();
  });
});

describe('Redis with an ACL user and TLS', function () {
  this.timeout(60_000);
  let authority: Authority;
  let server: OwnRedis;
  let client: RedisClient;
  let url: string;
  const urlOf = (credentials: string) => `rediss://${credentials}@localhost:${server.port}`;

  before('a TLS server', async () => {
    authority = createAuthority('redis-ca');
    const { certFile, keyFile } = authority.issue('redis');
    server = await startOwnRedis({
      settings: (port) => [
        'port 0',
        `tls-port ${port}`,
        `tls-cert-file ${certFile}`,
        `tls-key-file ${keyFile}`,
        `tls-ca-cert-file ${authority.caFile}`,
        'tls-auth-clients no',
        'user default off',
        // What the program needs and nothing else
        `user leaky on >${PASSWORD} resetkeys ~bucket:* ~window:* ~login:* ~apikey:* ~registry:* resetchannels -@all ${COMMANDS}`,
      ],
      answers: async () => assert.ok(existsSync(authority.caFile)),
    });
    url = urlOf(`leaky:${ENCODED}`);
    await eventually('the server takes us', async () => {
      client = await connectTo(url, { ...PATIENT, LEAKY_REDIS_TLS_CA_FILE: authority.caFile });
      if (client.status === 'ready') return true;
      client.disconnect();
      return false;
    });
  });
  after(() => client?.disconnect());

  contracts(() => client);

  it('a wrong password or user is told at once, without the password', async () => {
    for (const credentials of ['leaky:wrong-secret', `nobody:${ENCODED}`]) {
      await assert.rejects(connectTo(urlOf(credentials), { LEAKY_REDIS_TLS_CA_FILE: authority.caFile }), (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /^LEAKY_REDIS_URL: the server refuses the connection: WRONGPASS/);
        return !error.message.includes('wrong-secret') && !error.message.includes(PASSWORD);
      });
    }
  });

  it('a server whose certificate another authority signed is not talked to', async () => {
    const stranger = createAuthority('stranger');
    const refused = await connectTo(url, { LEAKY_REDIS_TLS_CA_FILE: stranger.caFile });
    try {
      assert.notEqual(refused.status, 'ready');
      await assert.rejects(refused.ping());
    } finally {
      refused.disconnect();
    }
  });
});

const COMMANDS = '+@connection +@scripting +@hash +@list +@string +@sortedset +expire +pexpire +pttl +ttl +del +time +info';
