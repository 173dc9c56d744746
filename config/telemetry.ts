import { z } from 'zod';
import type { Env } from './fields.js';

export const schema = {
  LEAKY_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
};

export const shape = (env: Env<typeof schema>) => ({ logLevel: env.LEAKY_LOG_LEVEL });
