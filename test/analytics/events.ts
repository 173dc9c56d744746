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

/** What `summarise` must answer, counted from these events alone. */
export function recountOf(
  events: Iterable<UsageEvent>,
  provider: ProviderName,
  visibility: Visibility,
  window: { from: Date; to: Date },
): UsageSummary {
  const users = new Map<string, { userId: string; totalTokens: number; events: number }>();
  const sum = { events: 0, allowedEvents: 0, tokens: 0 };
  for (const { userId, allowed, tokens } of visibleOf(events, provider, visibility, window)) {
    const user = users.get(userId) ?? { userId, totalTokens: 0, events: 0 };
    users.set(userId, { userId, totalTokens: user.totalTokens + (allowed ? tokens : 0), events: user.events + 1 });
    sum.events += 1;
    sum.allowedEvents += allowed ? 1 : 0;
    sum.tokens += allowed ? tokens : 0;
  }
  const topUsers = [...users.values()].sort(
    (a, b) => b.totalTokens - a.totalTokens || b.events - a.events || (a.userId < b.userId ? -1 : 1),
  );
  return { ...sum, uniqueUsers: users.size, topUsers };
}

export function visibleOf(
  events: Iterable<UsageEvent>,
  provider: ProviderName,
  visibility: Visibility,
  { from, to }: { from: Date; to: Date },
): UsageEvent[] {
  return [...events].filter(
    (one) =>
      one.provider === provider &&
      Date.parse(one.timestamp) >= from.getTime() &&
      Date.parse(one.timestamp) < to.getTime() &&
      (visibility === 'all' || one.userId === visibility.userId || (one.orgId !== null && visibility.orgIds.includes(one.orgId))),
  );
}

/** The events as they are stored in PostgreSQL, in the snapshot of the connection. */
export async function storedEvents(database: Pick<Database, 'query'>): Promise<UsageEvent[]> {
  const { rows } = await database.query<Omit<UsageEvent, 'timestamp'> & { at: Date }>(
    `SELECT id, occurred_at AS at, provider, user_id AS "userId", org_id AS "orgId", tokens, allowed, reason, request_id AS "requestId", tag
       FROM usage_events`,
  );
  return rows.map(({ at, ...event }) => ({ ...event, timestamp: at.toISOString() }));
}
