import { timestamp, z } from './common.js';
import { pageQuery } from './pages.js';

const text = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[\w.:-]+$/, 'letters, digits and . _ : - only');
const values = z.record(z.string(), z.unknown()).nullable();

export const adminLogQuery = z.object({
  actor: text.optional().openapi({ description: 'A user id, or database, system, configuration' }),
  action: text.optional().openapi({ example: 'tier.changed' }),
  target: text.optional().openapi({ description: 'Any id that the change was about: of a user, organisation, key, invitation' }),
  from: z.iso.datetime({ offset: true }).max(40).optional().openapi({ description: 'Nothing older', example: '2026-01-31T12:00:00Z' }),
  limit: pageQuery.limit,
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, 'not a cursor of this list')
    .optional()
    .openapi({ description: 'nextCursor of the page before' }),
});

export const adminLogPage = z
  .object({
    items: z.array(
      z.object({
        id: z.string(),
        at: timestamp,
        actor: z.string(),
        action: z.string(),
        target: z.object({ kind: z.string(), id: z.string() }),
        before: values,
        after: values,
        correlationId: z.string().nullable(),
      }),
    ),
    nextCursor: z.string().nullable().openapi({ description: 'null: there is nothing older' }),
  })
  .openapi('AdminLog');
