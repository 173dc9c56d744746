import { z } from 'zod';
import path from 'node:path';
import { count, type Env } from './fields.js';

export const schema = {
  LEAKY_DATA_DIR: z.string().default('data').describe('The one folder that holds all state of the embedded form'),
  LEAKY_CACHE_DIR: z.string().default('.cache').describe('Downloaded tools (the Temporal CLI)'),
  LEAKY_SHUTDOWN_GRACE_MS: count(10_000),
  npm_lifecycle_event: z.string().optional().describe('Set by npm: the process then ends when npm does'),
};

export const shape = (env: Env<typeof schema>) => ({
  dataDir: path.resolve(env.LEAKY_DATA_DIR),
  cacheDir: path.resolve(env.LEAKY_CACHE_DIR),
  shutdownGraceMs: env.LEAKY_SHUTDOWN_GRACE_MS,
  startedByNpm: env.npm_lifecycle_event !== undefined,
});
