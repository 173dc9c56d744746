import type { Client } from 'cassandra-driver';
import type { types } from 'cassandra-driver';
import type { ProviderName } from '../../contracts/providers.js';
import { floorTo, type Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import type { Visit } from './usage-facts.js';
import type { Selection } from './usage-selection.js';

const LANES = 8;
const PAGE = 2_000;

const WITHIN = `AND occurred_at >= ? AND occurred_at < ?`;
const COLUMNS = 'occurred_at, user_id, org_id, tokens, allowed, tag';
const OF_PROVIDER = `SELECT ${COLUMNS} FROM token_usage_by_provider WHERE provider = ? AND minute = ? ${WITHIN}`;
const OF_OWNER = `SELECT ${COLUMNS} FROM token_usage_by_owner WHERE provider = ? AND owner_id = ? AND hour = ? ${WITHIN}`;

/** Visits the events of the spans one by one. */
export async function readRaw(
  client: Client,
  { provider, selections }: { provider: ProviderName; selections: readonly Selection[] },
  spans: readonly Span[],
  visit: Visit,
): Promise<void> {
  const reads = selections.flatMap((selection) => statements(provider, selection, spans).map((params) => ({ selection, params })));
  await inLanes(reads, LANES, async ({ selection, params }) => {
    const query = selection.source.of === 'all' ? OF_PROVIDER : OF_OWNER;
    for await (const row of await client.execute(query, params, { fetchSize: PAGE })) visitRow(selection, row, visit);
  });
}

/** A statement's parameters for each partition that a span touches. */
function statements(provider: ProviderName, { source }: Selection, spans: readonly Span[]): unknown[][] {
  const width = source.of === 'all' ? 60 : 3_600;
  const owner = source.of === 'all' ? [] : [source.id];
  return spans.flatMap((span) => {
    const found: unknown[][] = [];
    for (let start = floorTo(span.from, width); start < span.to; start += width * 1_000)
      found.push([provider, ...owner, start, span.from, span.to]);
    return found;
  });
}

function visitRow(selection: Selection, row: types.Row, visit: Visit): void {
  const orgId = (row.org_id as types.Uuid | null)?.toString() ?? null;
  const tag = (row.tag as string | null) ?? null;
  const user = (row.user_id as types.Uuid).getBuffer().toString('latin1');
  if (!selection.acceptsGroup(orgId, tag) || !selection.acceptsUser(user, orgId)) return;
  const allowed = row.allowed as boolean;
  const counts = { events: 1, allowedEvents: allowed ? 1 : 0, tokens: allowed ? Number(row.tokens) : 0 };
  visit((row.occurred_at as Date).getTime(), user, counts, orgId, tag);
}
