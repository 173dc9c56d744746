import type { TimeWindow, UsageFilter, Visibility } from '../../api/analytics/ports.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { ceilTo, cover, floorTo, type Piece } from '../../domain/usage.js';

/** Values of one statement; `add` answers the placeholder that stands for the value. */
export class Parameters {
  readonly values: unknown[] = [];
  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}

/** SQL condition for the rows that a caller may see and a filter asks for. Built once per statement: placeholders are shared. */
export function conditionSql(filter: UsageFilter, visibility: Visibility, parameters: Parameters): string {
  const conditions = [`provider = ANY(${parameters.add(filter.provider ? [filter.provider] : PROVIDERS, 'text[]')})`];
  if (visibility !== 'all') {
    const user = parameters.add(visibility.userId, 'uuid');
    const orgs = parameters.add(visibility.orgIds, 'uuid[]');
    conditions.push(`(user_id = ${user} OR org_id = ANY(${orgs}))`);
  }
  if (filter.userId !== undefined) conditions.push(`user_id = ${parameters.add(filter.userId, 'uuid')}`);
  if (filter.orgId !== undefined) conditions.push(`org_id = ${parameters.add(filter.orgId, 'uuid')}`);
  if (filter.tag !== undefined) conditions.push(`tag = ${parameters.add(filter.tag, 'text')}`);
  return conditions.join(' AND ');
}

/**
 * A query that yields (at, user_id, events, allowed_events, tokens) such that each event of the window is in exactly one
 * row: whole grains from the roll-ups and what is not folded into them yet, the partial minutes at the edges from the raw
 * events. Exact only inside one statement, because only there do roll-ups, deltas and events share a snapshot.
 */
export function factsSql(window: TimeWindow, condition: string, parameters: Parameters, withinSeconds?: number): string {
  const span = { from: window.from.getTime(), to: window.to.getTime() };
  const parts = cover(span, withinSeconds).map((piece) => pieceSql(piece, condition, parameters));
  const minutes = { from: ceilTo(span.from, 60), to: floorTo(span.to, 60) };
  const rolledUp = withinSeconds === undefined || withinSeconds % 60 === 0;
  if (rolledUp && minutes.from < minutes.to) {
    parts.push(`SELECT minute AS at, user_id, events, allowed_events, tokens FROM usage_deltas
      WHERE ${between('minute', minutes, parameters)} AND ${condition}`);
  }
  return parts.length > 0 ? parts.join('\nUNION ALL\n') : nothingSql(condition);
}

/** An empty window. The condition is there because PostgreSQL refuses parameters that no expression gives a type. */
const nothingSql = (condition: string) =>
  `SELECT minute AS at, user_id, events, allowed_events, tokens FROM usage_deltas WHERE false AND ${condition}`;

function pieceSql(piece: Piece, condition: string, parameters: Parameters): string {
  if (piece.grainSeconds === null) {
    return `SELECT occurred_at AS at, user_id, 1 AS events, allowed::int AS allowed_events, CASE WHEN allowed THEN tokens ELSE 0 END AS tokens
      FROM usage_events WHERE ${between('occurred_at', piece, parameters)} AND ${condition}`;
  }
  // The grain is one of a closed list of numbers; as a literal it lets the planner use its statistics.
  return `SELECT bucket AS at, user_id, events, allowed_events, tokens
    FROM usage_rollups WHERE grain = ${piece.grainSeconds} AND ${between('bucket', piece, parameters)} AND ${condition}`;
}

function between(column: string, span: { from: number; to: number }, parameters: Parameters): string {
  const from = parameters.add(new Date(span.from).toISOString(), 'timestamptz');
  const to = parameters.add(new Date(span.to).toISOString(), 'timestamptz');
  return `${column} >= ${from} AND ${column} < ${to}`;
}

export const TOTALS = `coalesce(sum(events), 0)::bigint AS events, coalesce(sum(allowed_events), 0)::bigint AS "allowedEvents",
  coalesce(sum(tokens), 0)::bigint AS tokens`;
