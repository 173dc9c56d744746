import { z } from 'zod';
import { port, type Env } from './fields.js';

export const schema = {
  LEAKY_TEMPORAL_ADDRESS: z.string().optional().describe('host:port. Unset: the embedded dev server is started'),
  LEAKY_TEMPORAL_PORT: port(7233).describe('Port of the embedded Temporal dev server'),
  LEAKY_TEMPORAL_UI_PORT: port(8233),
  LEAKY_TEMPORAL_NAMESPACE: z.string().default('default'),
  TEMPORAL_CLI: z.string().optional().describe('Path of the temporal binary'),
  PATH: z.string().default('').describe('Searched for the temporal binary'),
};

export const shape = (env: Env<typeof schema>) => ({
  temporal: {
    address: env.LEAKY_TEMPORAL_ADDRESS,
    embeddedPort: env.LEAKY_TEMPORAL_PORT,
    embeddedUiPort: env.LEAKY_TEMPORAL_UI_PORT,
    namespace: env.LEAKY_TEMPORAL_NAMESPACE,
    cli: env.TEMPORAL_CLI,
    searchPath: env.PATH,
  },
});
