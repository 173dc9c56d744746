import type { Logger } from '../../telemetry/log.js';
import { defineScript, SERVER_CLOCK, type RedisClient } from './connection.js';

/**
 * Which instances of a service are there: a sorted set for each, its members their URLs, the scores the times at which they
 * expire, in the clock of the server. What has expired is left out when reading and removed by the next that registers.
 */
export interface ServiceRegistry {
  list(service: string): Promise<URL[]>;
  /** Registers now, again with each heartbeat, and at once when Redis has come back, perhaps empty. Never rejects. */
  register(service: string, url: URL): Promise<Registration>;
}

export interface Registration {
  /** Resolves when the instance is out of the registry, or Redis is away and it will expire. */
  end(): Promise<void>;
}

export interface RegistryOptions {
  heartbeatMs: number;
  log: Logger;
}

/** One lost heartbeat is no death, two are. */
const HEARTBEATS_TO_LIVE = 2.5;

const keyOf = (service: string) => `registry:{${service}}`;

export function createServiceRegistry(client: RedisClient, { heartbeatMs, log }: RegistryOptions): ServiceRegistry {
  const beat = defineScript(
    client,
    'leakyRegister',
    `${SERVER_CLOCK}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`,
  );
  const living = defineScript(
    client,
    'leakyInstances',
    `${SERVER_CLOCK}
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')`,
  );
  return {
    async list(service) {
      const urls = (await living(keyOf(service))) as string[];
      return urls.filter((text) => URL.canParse(text)).map((text) => new URL(text));
    },
    async register(service, url) {
      const register = async () => {
        try {
          await beat(keyOf(service), url.href, Math.round(heartbeatMs * HEARTBEATS_TO_LIVE));
        } catch (error) {
          log.warn({ err: error, service }, 'this instance could not register; it tries again');
        }
      };
      await register();
      const timer = setInterval(() => void register(), heartbeatMs);
      timer.unref();
      const again = () => void register();
      client.on('ready', again);
      return {
        async end() {
          clearInterval(timer);
          client.off('ready', again);
          await client.zrem(keyOf(service), url.href).catch(() => undefined);
        },
      };
    },
  };
}
