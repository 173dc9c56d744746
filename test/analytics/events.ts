import { v7 } from 'uuid';
import type { UsageSummary, Visibility } from '../../api/analytics/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import type { ProviderName } from '../../contracts/providers.js';
import type { Database } from '../../adapters/postgres/pool.js';

/** Ids that are easy to tell apart in a failure's message. */
export const id = (number: number) => `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;

export function event(overrides: Partial<UsageEvent> = {}): UsageEvent {
  const allowed = overrides.allowed ?? true;
  return {
    id: v7(),
    timestamp: '2026-03-01T12:00:30.000Z',
    provider: 'openai',
    userId: id(1),
    orgId: null,
    tokens: 10,
    allowed,
    reason: allowed ? null : 'BUCKET_OVERFLOW',
    requestId: 'request-1',
    tag: null,
    ...overrides,
  };
}

/** What `summarise` must answer, counted from the raw events alone. */
export async function recount(
  database: Pick<Database, 'query'>,
  provider: ProviderName,
  visibility: Visibility,
  window: { from: Date; to: Date },
): Promise<UsageSummary> {
  const { rows } = await database.query<{ user_id: string; org_id: string | null; tokens: number; allowed: boolean }>(
    `SELECT user_id, org_id, tokens, allowed FROM usage_events WHERE provider = $1 AND occurred_at >= $2 AND occurred_at < $3`,
    [provider, window.from.toISOString(), window.to.toISOString()],
  );
  const visible = rows.filter(
    (row) => visibility === 'all' || row.user_id === visibility.userId || (row.org_id !== null && visibility.orgIds.includes(row.org_id)),
  );
  const users = new Map<string, { userId: string; totalTokens: number; events: number }>();
  for (const row of visible) {
    const user = users.get(row.user_id) ?? { userId: row.user_id, totalTokens: 0, events: 0 };
    users.set(row.user_id, { ...user, totalTokens: user.totalTokens + (row.allowed ? row.tokens : 0), events: user.events + 1 });
  }
  const allowed = visible.filter((row) => row.allowed);
  return {
    events: visible.length,
    allowedEvents: allowed.length,
    tokens: allowed.reduce((sum, row) => sum + row.tokens, 0),
    uniqueUsers: users.size,
    topUsers: [...users.values()].sort((a, b) => b.totalTokens - a.totalTokens || b.events - a.events || (a.userId < b.userId ? -1 : 1)),
  };
}
