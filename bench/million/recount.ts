import type { Client, types } from 'cassandra-driver';
import type { TimeWindow, UsageSummary } from '../../api/analytics/ports.js';

const MINUTE_MS = 60_000;
const LANES = 8;
const EVENTS = `SELECT user_id, tokens, allowed FROM token_usage_by_provider WHERE provider = ? AND minute = ? AND occurred_at >= ? AND occurred_at < ?`;

/** What a report must say, from every event of every minute and nothing else. */
export async function recount(client: Client, provider: string, { from, to }: TimeWindow, topUsers: number): Promise<UsageSummary> {
  const users = new Map<string, { userId: string; totalTokens: number; events: number }>();
  const sum = { events: 0, allowedEvents: 0, tokens: 0 };
  const count = (row: types.Row) => {
    const userId = String(row.user_id);
    const tokens = row.allowed ? Number(row.tokens) : 0;
    const user = users.get(userId) ?? { userId, totalTokens: 0, events: 0 };
    users.set(userId, { userId, totalTokens: user.totalTokens + tokens, events: user.events + 1 });
    sum.events++;
    sum.allowedEvents += row.allowed ? 1 : 0;
    sum.tokens += tokens;
  };
  let minute = Math.floor(from.getTime() / MINUTE_MS) * MINUTE_MS;
  const lane = async () => {
    while (minute < to.getTime()) {
      const start = minute;
      minute += MINUTE_MS;
      for await (const row of await client.execute(EVENTS, [provider, start, from, to], { fetchSize: 2_000 })) count(row);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const order = (a: { totalTokens: number; events: number; userId: string }, b: typeof a) =>
    b.totalTokens - a.totalTokens || b.events - a.events || (a.userId < b.userId ? -1 : 1);
  return { ...sum, uniqueUsers: users.size, topUsers: [...users.values()].sort(order).slice(0, topUsers) };
}
