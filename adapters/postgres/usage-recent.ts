import type { Visibility } from '../../api/analytics/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import type { ProviderName } from '../../contracts/providers.js';
import type { Database } from './pool.js';

const COLUMNS = `id, occurred_at, provider, user_id, org_id, tokens, allowed, reason, request_id, tag`;
const NEWEST = `ORDER BY occurred_at DESC, id DESC LIMIT $2`;

const ALL = `SELECT ${COLUMNS} FROM usage_events WHERE provider = $1 ${NEWEST}`;

// One index scan of at most `limit` rows for the user and for each organisation, however rare their events are among the others'.
const VISIBLE = `
  SELECT * FROM (
    (SELECT ${COLUMNS} FROM usage_events WHERE provider = $1 AND user_id = $3 ${NEWEST})
    UNION
    (SELECT own.* FROM unnest($4::uuid[]) AS org (id)
      CROSS JOIN LATERAL (SELECT ${COLUMNS} FROM usage_events WHERE provider = $1 AND org_id = org.id ${NEWEST}) AS own)
  ) AS visible
  ${NEWEST}`;

interface Row {
  id: string;
  occurred_at: Date;
  provider: ProviderName;
  user_id: string;
  org_id: string | null;
  tokens: number;
  allowed: boolean;
  reason: string | null;
  request_id: string;
  tag: string | null;
}

export async function recentEvents(
  database: Pick<Database, 'query'>,
  provider: ProviderName,
  visibility: Visibility,
  limit: number,
): Promise<UsageEvent[]> {
  const { rows } = await (visibility === 'all'
    ? database.query<Row>(ALL, [provider, limit])
    : database.query<Row>(VISIBLE, [provider, limit, visibility.userId, visibility.orgIds]));
  return rows.map((row) => ({
    id: row.id,
    timestamp: row.occurred_at.toISOString(),
    provider: row.provider,
    userId: row.user_id,
    orgId: row.org_id,
    tokens: row.tokens,
    allowed: row.allowed,
    reason: row.reason,
    requestId: row.request_id,
    tag: row.tag,
  }));
}
