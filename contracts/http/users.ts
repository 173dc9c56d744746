import { timestamp, uuid, z } from './common.js';

export const userParams = z.object({ userId: uuid });
/** USER is what every account is; there is nothing to give or take. */
export const roleParams = z.object({ userId: uuid, role: z.enum(['ADMIN']) });

export const userView = z
  .object({ userId: uuid, username: z.string(), roles: z.array(z.string()), disabled: z.boolean(), createdAt: timestamp })
  .openapi('User');
