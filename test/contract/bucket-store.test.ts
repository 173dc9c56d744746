import { createMemoryBucketStore } from '../../adapters/memory/bucket-store.js';
import { createRedisBucketStore } from '../../adapters/redis/bucket-store.js';
import type { BucketStore } from '../../api/tokens/ports.js';
import { withRedis } from '../redis/support.js';
import { bucketStoreContract } from './bucket-store.js';

describe('BucketStore in memory', () => {
  const store = createMemoryBucketStore();
  bucketStoreContract(() => store);
});

describe('BucketStore in Redis', () => {
  const redis = withRedis();
  let store: BucketStore;
  before(() => (store = createRedisBucketStore(redis())));
  bucketStoreContract(() => store);
});
