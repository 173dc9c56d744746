import { Redis } from 'ioredis';
import { shared, type Provision } from './provide.js';

export const redisProvision: Provision = {
  name: 'Redis',
  variable: 'LEAKY_TEST_REDIS_URL',
  script: 'redis',
  ports: 1,
  containers: (port) => [['--publish', `127.0.0.1:${port}:6379`, 'redis:7.4.2-bookworm', 'redis-server', '--save', '']],
  async answers(address) {
    const client = new Redis(urlOf(address), { lazyConnect: true, connectTimeout: 2_000, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.ping();
    } finally {
      client.disconnect();
    }
  },
};

const server = shared(redisProvision);

/** The one Redis of the mocha run. Resolves with its URL. Tests keep apart by keys of their own, as other files use it too. */
export const startTestRedis = async (): Promise<string> => urlOf(await server());

const urlOf = (address: string) => (address.includes('://') ? address : `redis://${address}`);
