import { instant, text, timestamp, z } from './common.js';
import { pageQuery } from './pages.js';

const word = text({ max: 100, pattern: /^[\w.:-]+$/, says: 'must be letters, digits and . _ : - only' }).optional();
const values = z.record(z.string(), z.unknown()).nullable();

export const adminLogQuery = z.object({
  actor: word.openapi({ description: 'A user id, or database, system, configuration' }),
  action: word.openapi({ example: 'tier.changed' }),
  target: word.openapi({ description: 'Any id that the change was about: of a user, organisation, key, invitation' }),
  from: instant().optional().openapi({ description: 'Nothing older' }),
  limit: pageQuery.limit,
  cursor: text({ max: 15, pattern: /^\d+$/, says: 'must be the nextCursor of the page before' }).optional(),
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
