import type { Client } from 'cassandra-driver';
import type { TimeWindow, UsageReader, UsageSummary } from '../../api/analytics/ports.js';
import { PROVIDERS } from '../../contracts/providers.js';
import { floorTo, type Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import type { Retention } from './usage-buckets.js';
import { visitFacts } from './usage-facts.js';
import { recentEvents } from './usage-recent.js';
import { increase, userId, type Counts, type UserKey } from './usage-records.js';
import { selectionsOf } from './usage-selection.js';

const LANES = 4;

/**
 * Reads roll-ups where they are in force and events elsewhere. There are no snapshots across partitions: what was stored when a report
 * began is in it once; what is being stored meanwhile may be in it or not.
 */
export function createUsageReader(client: Client, retention: Retention): UsageReader {
  const kept = ({ from, to }: TimeWindow): Span => ({ from: Math.max(from.getTime(), retention.oldest()), to: to.getTime() });

  return {
    recent: (provider, visibility, limit) => recentEvents(client, retention, provider, visibility, limit),

    async summarise(provider, visibility, window, topUsers) {
      const users = new Map<UserKey, Counts>();
      const query = { provider, span: kept(window), selections: selectionsOf({}, visibility), perUser: true };
      await visitFacts(client, query, (_at, user, counts) => {
        if (user === null) return;
        const known = users.get(user);
        if (known) increase(known, counts);
        else users.set(user, { ...counts });
      });
      return summaryOf(users, topUsers);
    },

    async totals(provider, visibility, windows) {
      const selections = selectionsOf({}, visibility);
      const totals = windows.map(() => nothing());
      await inLanes([...windows.entries()], LANES, ([index, window]) =>
        visitFacts(client, { provider, span: kept(window), selections, perUser: false }, (_at, _user, counts) =>
          increase(totals[index] as Counts, counts),
        ),
      );
      return totals;
    },

    async series({ provider, ...filter }, visibility, window, stepSeconds) {
      const buckets = new Map<number, Counts>();
      const query = { span: kept(window), selections: selectionsOf(filter, visibility), withinSeconds: stepSeconds, perUser: false };
      await inLanes(provider ? [provider] : PROVIDERS, LANES, (one) =>
        visitFacts(client, { ...query, provider: one }, (at, _user, counts) => {
          const start = floorTo(at, stepSeconds);
          const known = buckets.get(start) ?? nothing();
          increase(known, counts);
          buckets.set(start, known);
        }),
      );
      return [...buckets].sort(([a], [b]) => a - b).map(([start, counts]) => ({ start: new Date(start), ...counts }));
    },

    async ping() {
      await client.execute('SELECT release_version FROM system.local');
    },
  };
}

const nothing = (): Counts => ({ events: 0, allowedEvents: 0, tokens: 0 });

function summaryOf(users: ReadonlyMap<UserKey, Counts>, topUsers: number): UsageSummary {
  const sum = nothing();
  for (const counts of users.values()) increase(sum, counts);
  const top = [...users]
    .sort(([a, { tokens, events }], [b, other]) => other.tokens - tokens || other.events - events || (a < b ? -1 : 1))
    .slice(0, topUsers);
  return {
    ...sum,
    uniqueUsers: users.size,
    topUsers: top.map(([user, { tokens, events }]) => ({ userId: userId(user), totalTokens: tokens, events })),
  };
}
