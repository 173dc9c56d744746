import type { RedisClient } from '../adapters/redis/connection.js';
import { createSharedKeyExchange } from '../adapters/redis/shared-key-exchange.js';
import { createRemoteKeyExchange } from '../api/http/key-exchange.js';
import type { KeyRevocations } from '../api/http/key-revocations.js';
import { createServiceFetch } from '../api/http/service-fetch.js';
import type { ServiceResolver } from '../api/http/services.js';
import type { Config } from '../config.js';

/** With Redis, what one process has learned of an API key serves the others. null: each asks for itself. */
export function openSharedKeys(
  client: RedisClient | null,
  { config, revocations, services }: { config: Config; revocations: KeyRevocations; services: ServiceResolver },
) {
  if (!client) return null;
  const exchange = createRemoteKeyExchange(createServiceFetch(services, 'auth'));
  return createSharedKeyExchange({ exchange, client, revocations, config: config.auth });
}
