import type { BucketStore } from '../../api/tokens/ports.js';
import { bucketArguments, bucketScripts, decisionFrom } from './bucket-script.js';
import { defineScript, type RedisClient } from './connection.js';

/** Buckets that all token services share: each operation is one script on one key, in the clock of the server. */
export function createRedisBucketStore(client: RedisClient): BucketStore {
  const scripts = bucketScripts();
  const pour = defineScript(client, 'leakyPour', scripts.pour);
  const unpour = defineScript(client, 'leakyUnpour', scripts.unpour);
  return {
    pour: async (key, rule, amount) => decisionFrom(rule, amount, await pour(key, ...bucketArguments(rule, amount))),
    unpour: async (key, rule, amount) => void (await unpour(key, ...bucketArguments(rule, amount))),
  };
}
