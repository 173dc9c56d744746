import { z } from 'zod';
import path from 'node:path';
import { ambient, count, secret, type Env } from './fields.js';
import type { Rule } from './rules.js';

export const schema = {
  LEAKY_CONFIG_FILE: z.string().optional().describe('YAML file with any of these variables; the environment goes before it'),
  LEAKY_SECRETS_DIR: z
    .string()
    .optional()
    .describe('Folder whose files are settings by their names, as container engines mount secrets; the environment goes before it'),
  LEAKY_CONFIG_KEY: secret(
    z.string().optional().describe('id:64 hex digits, comma-separated: the keys of encrypted values (enc:v1:…); the first one encrypts'),
  ),
  LEAKY_DATA_DIR: z.string().default('data').describe('The one folder that holds all state of the embedded form'),
  LEAKY_CACHE_DIR: z.string().default('.cache').describe('Downloaded tools (the Temporal CLI)'),
  LEAKY_SHUTDOWN_DELAY_MS: count(0, 0).describe(
    'How long a service that is to end still takes requests while it says that it is not ready',
  ),
  LEAKY_SHUTDOWN_GRACE_MS: count(10_000).describe('How long what is in progress may take after a signal to stop'),
  LEAKY_SHUTDOWN_LIMIT_MS: count(40_000).describe('A service that has not ended by then ends at once, and says so'),
  NODE_ENV: ambient(z.string().optional().describe('production: nothing may be simulated silently')),
  npm_lifecycle_event: ambient(z.string().optional().describe('Set by npm: the process then ends when npm does')),
};

export type ProcessEnv = Env<typeof schema>;

export const rules: Rule<Env<typeof schema>>[] = [
  {
    for: 'shutdown',
    of: ['LEAKY_SHUTDOWN_LIMIT_MS', 'LEAKY_SHUTDOWN_GRACE_MS', 'LEAKY_SHUTDOWN_DELAY_MS'],
    fault: ({ LEAKY_SHUTDOWN_LIMIT_MS: limit, LEAKY_SHUTDOWN_GRACE_MS: grace, LEAKY_SHUTDOWN_DELAY_MS: delay }) =>
      delay + grace < limit
        ? null
        : `must be above LEAKY_SHUTDOWN_DELAY_MS and LEAKY_SHUTDOWN_GRACE_MS together (${delay + grace}), or the grace is cut short`,
  },
];

export const shape = (env: Env<typeof schema>) => ({
  dataDir: path.resolve(env.LEAKY_DATA_DIR),
  cacheDir: path.resolve(env.LEAKY_CACHE_DIR),
  shutdownDelayMs: env.LEAKY_SHUTDOWN_DELAY_MS,
  shutdownGraceMs: env.LEAKY_SHUTDOWN_GRACE_MS,
  shutdownLimitMs: env.LEAKY_SHUTDOWN_LIMIT_MS,
  encryptionKeys: env.LEAKY_CONFIG_KEY ?? '',
  startedByNpm: env.npm_lifecycle_event !== undefined,
});
