import { z } from 'zod';
import { count, type Env } from './fields.js';

export const schema = {
  LEAKY_BUCKET_STRATEGY: z
    .enum(['LEAKY_BUCKET', 'TOKEN_BUCKET', 'FIXED_WINDOW'])
    .default('LEAKY_BUCKET')
    .describe('How the bucket of a user and provider empties'),
  LEAKY_BUCKET_CAPACITY: count(1000).describe('Tokens in one go, times the factor of the tier'),
  LEAKY_BUCKET_LEAK_PER_SECOND: count(10).describe('Tokens a second in the long run, times the factor of the tier'),
};

export const shape = (env: Env<typeof schema>) => ({
  bucket: {
    strategy: env.LEAKY_BUCKET_STRATEGY,
    capacity: env.LEAKY_BUCKET_CAPACITY,
    leakPerSecond: env.LEAKY_BUCKET_LEAK_PER_SECOND,
  },
});
