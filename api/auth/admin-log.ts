import type { Router } from 'express';
import type { z } from 'zod';
import { adminLogPage, adminLogQuery } from '../../contracts/http/admin-log.js';
import { callerOf, requireAdmin } from '../http/caller.js';
import type { Operation } from '../http/openapi.js';
import type { AuthContext } from './context.js';

export const adminLogOperations: Operation[] = [
  {
    method: 'get',
    path: '/api/v1/auth/admin-log',
    summary: 'Who changed which tier, total, role, member, key, invitation or signing key, newest first (ADMIN)',
    tag: 'administration',
    query: adminLogQuery,
    responses: {
      200: { description: 'A page', schema: adminLogPage },
      400: { description: 'Invalid' },
      401: { description: 'Not authenticated' },
      403: { description: 'Not an ADMIN' },
    },
  },
];

export function adminLogRoutes(router: Router, { accounts, authenticator }: AuthContext): void {
  router.get('/api/v1/auth/admin-log', authenticator.required, async (req, res) => {
    requireAdmin(callerOf(res));
    const { cursor, limit, ...filter } = adminLogQuery.parse(req.query);
    const rows = await accounts.adminLog.page({ ...filter, before: cursor === undefined ? undefined : Number(cursor), limit: limit + 1 });
    const items = rows.slice(0, limit);
    res.json({
      items: items.map(({ id, at, targetKind, targetId, ...entry }) => ({
        id: String(id),
        at: at.toISOString(),
        target: { kind: targetKind, id: targetId },
        ...entry,
      })),
      nextCursor: rows.length > limit ? String(items.at(-1)?.id) : null,
    } satisfies z.input<typeof adminLogPage>);
  });
}
