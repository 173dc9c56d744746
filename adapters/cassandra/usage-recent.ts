import type { Client, types } from 'cassandra-driver';
import type { Visibility } from '../../api/analytics/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import type { ProviderName } from '../../contracts/providers.js';
import { floorTo } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { grainOf, type Grain, type Retention } from './usage-buckets.js';
import { readMarks } from './usage-marks.js';

/** Partitions that are looked into at the same time, newest first */
const AHEAD = 6;
const LANES = 8;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const COLUMNS = 'id, occurred_at, provider, user_id, org_id, tokens, allowed, reason, request_id, tag';
const OF_MINUTE = `SELECT ${COLUMNS} FROM token_usage_by_provider WHERE provider = ? AND minute = ? LIMIT ?`;
const OF_HOUR = `SELECT ${COLUMNS} FROM token_usage_by_owner WHERE owner_id = ? AND provider = ? AND hour = ? LIMIT ?`;
const DAYS = `SELECT day FROM token_usage_owner_days WHERE owner_id = ? AND provider = ? AND day >= ?`;

/** The newest events that are visible, from the partitions that have any, newest first, until there are enough. */
export async function recentEvents(
  client: Client,
  retention: Retention,
  provider: ProviderName,
  visibility: Visibility,
  limit: number,
): Promise<UsageEvent[]> {
  const oldest = retention.oldest();
  const found: UsageEvent[] = [];
  if (visibility === 'all') {
    const read = (minute: number) => client.execute(OF_MINUTE, [provider, minute, limit]);
    found.push(...(await newest(minutesOf(client, provider, oldest), read, limit)));
  } else {
    const { userId, orgIds } = visibility;
    await inLanes([...new Set([...(userId === null ? [] : [userId]), ...orgIds])], LANES, async (owner) => {
      const read = (hour: number) => client.execute(OF_HOUR, [owner, provider, hour, limit]);
      found.push(...(await newest(hoursOf(client, owner, provider, oldest), read, limit)));
    });
  }
  const distinct = [...new Map(found.map((event) => [event.id, event])).values()].filter(
    ({ timestamp }) => Date.parse(timestamp) >= oldest,
  );
  const order = (event: UsageEvent) => `${event.timestamp} ${event.id}`;
  return distinct.sort((a, b) => (order(a) > order(b) ? -1 : 1)).slice(0, limit);
}

/** Events of the partitions in turn, newest first. */
async function newest(
  partitions: AsyncIterable<number>,
  read: (partition: number) => Promise<types.ResultSet>,
  limit: number,
): Promise<UsageEvent[]> {
  const events: UsageEvent[] = [];
  let ahead: Promise<types.ResultSet>[] = [];
  const drain = async () => {
    for (const { rows } of await Promise.all(ahead)) events.push(...rows.map(eventOf));
    ahead = [];
  };
  for await (const partition of partitions) {
    ahead.push(read(partition));
    if (ahead.length >= AHEAD) await drain();
    if (events.length >= limit) break;
  }
  await drain();
  return events;
}

/** Every event has left marks in its day, its hour and its minute: from the newest day downwards, only what has marks is looked into. */
async function* minutesOf(client: Client, provider: ProviderName, oldest: number): AsyncGenerator<number> {
  const within = async (grain: Grain, from: number, to: number) =>
    [...(await readMarks(client, provider, grain, [{ from, to }])).keys()].sort((a, b) => b - a);
  const [day, hour, minute] = [grainOf(86_400), grainOf(3_600), grainOf(60)];
  // A day more: another process's clock may be ahead.
  for (const start of await within(day, oldest, Date.now() + DAY_MS)) {
    for (const startOfHour of await within(hour, start, start + DAY_MS))
      for (const startOfMinute of await within(minute, startOfHour, startOfHour + HOUR_MS)) yield startOfMinute;
  }
}

async function* hoursOf(client: Client, owner: string, provider: ProviderName, oldest: number): AsyncGenerator<number> {
  for await (const row of await client.execute(DAYS, [owner, provider, floorTo(oldest, 86_400)])) {
    const day = (row.day as Date).getTime();
    for (let hour = day + 23 * HOUR_MS; hour >= Math.max(day, floorTo(oldest, 3_600)); hour -= HOUR_MS) yield hour;
  }
}

const eventOf = (row: types.Row): UsageEvent => ({
  id: String(row.id),
  timestamp: (row.occurred_at as Date).toISOString(),
  provider: row.provider as ProviderName,
  userId: String(row.user_id),
  orgId: row.org_id === null ? null : String(row.org_id),
  tokens: Number(row.tokens),
  allowed: row.allowed as boolean,
  reason: row.reason as string | null,
  requestId: row.request_id as string,
  tag: row.tag as string | null,
});
