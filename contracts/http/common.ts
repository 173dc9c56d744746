import { extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { PROVIDERS } from '../providers.js';

// Schemas are documented where they are declared, so every module that declares one starts from here.
extendZodWithOpenApi(z);

export { z };

/** Read in any case of letters and kept in lower case: one id must not be two keys. */
export const uuid = z.uuid().toLowerCase().openapi({ example: '7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11' });
export const timestamp = z.iso.datetime().openapi({ example: '2026-01-31T12:00:00.000Z' });
export const providerName = z.enum(PROVIDERS);

/** Unknown members of request bodies are ignored everywhere: zod objects strip them. */
export const idempotencyKey = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[\x21-\x7e]+$/, 'printable ASCII without spaces')
  .optional();
