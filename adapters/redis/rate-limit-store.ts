import type { RateLimitStore } from '../../api/gateway/ports.js';
import type { WindowPolicy } from '../../domain/sliding-window.js';
import { defineScript, type RedisClient } from './connection.js';
import { decisionFrom, windowArguments, windowScript } from './window-script.js';

/** Windows that all gateways share: deciding and counting are one script on one key. */
export function createRedisRateLimitStore(client: RedisClient): RateLimitStore {
  const ask = defineScript(client, 'leakyWindow', windowScript());
  const decide = async (key: string, policy: WindowPolicy, count: boolean) =>
    // The callers' clocks may differ from the server's: they are told times in their own.
    decisionFrom(policy, await ask(`window:${key}`, ...windowArguments(policy, count)), Date.now());
  return {
    hit: (key, policy) => decide(key, policy, true),
    peek: (key, policy) => decide(key, policy, false),
  };
}
