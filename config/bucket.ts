import { z } from 'zod';
import { count, type Env } from './fields.js';

export const schema = {
  LEAKY_BUCKET_STRATEGY: z.enum(['LEAKY_BUCKET', 'TOKEN_BUCKET', 'FIXED_WINDOW']).default('LEAKY_BUCKET'),
  LEAKY_BUCKET_CAPACITY: count(1000),
  LEAKY_BUCKET_LEAK_PER_SECOND: count(10),
};

export const shape = (env: Env<typeof schema>) => ({
  bucket: {
    strategy: env.LEAKY_BUCKET_STRATEGY,
    capacity: env.LEAKY_BUCKET_CAPACITY,
    leakPerSecond: env.LEAKY_BUCKET_LEAK_PER_SECOND,
  },
});
