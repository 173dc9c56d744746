import type { Client } from 'cassandra-driver';
import { LRUCache } from 'lru-cache';
import { validate } from 'uuid';
import { UnstorableEvent, type UsageSink } from '../../activities/ports.js';
import type { UsageEvent } from '../../contracts/events.js';
import { floorTo } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { GRAINS, type Bucket, type Retention } from './usage-buckets.js';
import { MarkWriter } from './usage-marks.js';

const CHUNK = 2_000;
const LANES = 16;
/** Below what the server warns of (10 partitions, 5 KiB), and a tenth of the round trips. */
const BATCH = 10;
const KNOWN_DAYS = 100_000;

const COLUMNS = 'occurred_at, user_id, org_id, tokens, allowed, reason, request_id, tag';
const values = (count: number) => `VALUES (${Array(count).fill('?').join(', ')}) USING TTL ?`;
const BY_ID = `INSERT INTO token_usage_events (id, provider, ${COLUMNS}) ${values(10)}`;
const BY_PROVIDER = `INSERT INTO token_usage_by_provider (provider, minute, id, ${COLUMNS}) ${values(11)}`;
const BY_OWNER = `INSERT INTO token_usage_by_owner (owner_id, provider, hour, id, ${COLUMNS}) ${values(12)}`;
const OWNER_DAY = `INSERT INTO token_usage_owner_days (owner_id, provider, day) ${values(3)}`;

/**
 * Stores usage events. The key and the content of each row follow from the event alone, so that a second delivery writes what is
 * there already. Events that are too old to be shown are left out.
 */
export function createUsageSink(client: Client, retention: Retention): UsageSink {
  const marks = new MarkWriter(client, retention);
  const knownDays = new LRUCache<string, true>({ max: KNOWN_DAYS });

  async function store(events: readonly UsageEvent[]): Promise<void> {
    const days = ownerDays(events, retention).filter(({ key }) => !knownDays.has(key));
    const statements = [...events.flatMap((event) => rowsOf(event, retention)), ...days].sort((a, b) => (a.key < b.key ? -1 : 1));
    await inLanes(batches(statements), LANES, (batch) => client.batch(batch, { prepare: true, logged: false }));
    for (const { key } of days) knownDays.set(key, true);
  }

  return {
    async publish(events) {
      for (const event of events) requireStorable(event);
      const distinct = [...new Map(events.toReversed().map((event) => [event.id, event])).values()];
      const kept = distinct.filter((event) => retention.ttl(Date.parse(event.timestamp)) > 0);
      kept.sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
      for (let from = 0; from < kept.length; from += CHUNK) {
        const chunk = kept.slice(from, from + CHUNK);
        await marks.around(bucketsOf(chunk), () => store(chunk));
      }
    },
  };
}

/** Longer texts would make a batch larger than the server takes. */
const LONGEST_TEXT = 1_000;

/** The columns of Cassandra refuse little, and some of that only after the rest of a batch was stored. */
function requireStorable({ id, userId, orgId, timestamp, tokens, reason, requestId, tag }: UsageEvent): void {
  const ids = [id, userId, ...(orgId === null ? [] : [orgId])];
  if (!ids.every((one) => validate(one))) throw new UnstorableEvent(`not a UUID among ${ids.join(', ')}`);
  if (Number.isNaN(Date.parse(timestamp))) throw new UnstorableEvent(`not a time: ${timestamp}`);
  if (!Number.isSafeInteger(tokens) || tokens < 0) throw new UnstorableEvent(`not a number of tokens: ${tokens}`);
  for (const text of [reason, requestId, tag])
    if ((text?.length ?? 0) > LONGEST_TEXT) throw new UnstorableEvent(`longer than ${LONGEST_TEXT} characters: ${text?.slice(0, 50)}…`);
}

/** `key`: statements of one partition come together when they are sorted by it. */
interface Keyed {
  key: string;
  query: string;
  params: unknown[];
}

function rowsOf(event: UsageEvent, retention: Retention): Keyed[] {
  const { id, provider, userId, orgId } = event;
  const time = Date.parse(event.timestamp);
  const minute = floorTo(time, 60);
  const hour = floorTo(time, 3_600);
  const ttl = retention.ttl(time);
  // Unset rather than null: a null is a tombstone.
  const content = [time, userId, orgId ?? undefined, BigInt(event.tokens), event.allowed, event.reason ?? undefined, event.requestId];
  const rest = [...content, event.tag ?? undefined, ttl];
  return [
    { key: `1 ${provider} ${minute}`, query: BY_PROVIDER, params: [provider, minute, id, ...rest] },
    { key: `2 ${id}`, query: BY_ID, params: [id, provider, ...rest] },
    ...ownersOf(event).map((owner) => ({ key: `3 ${owner} ${hour}`, query: BY_OWNER, params: [owner, provider, hour, id, ...rest] })),
  ];
}

const ownersOf = ({ userId, orgId }: UsageEvent): string[] => (orgId === null || orgId === userId ? [userId] : [userId, orgId]);

function ownerDays(events: readonly UsageEvent[], retention: Retention): Keyed[] {
  const found = new Map<string, Keyed>();
  for (const event of events) {
    const day = floorTo(Date.parse(event.timestamp), 86_400);
    for (const owner of ownersOf(event)) {
      const key = `4 ${owner} ${event.provider} ${day}`;
      found.set(key, { key, query: OWNER_DAY, params: [owner, event.provider, day, retention.ttl(day)] });
    }
  }
  return [...found.values()];
}

function batches(statements: readonly Keyed[]): Omit<Keyed, 'key'>[][] {
  const result: Omit<Keyed, 'key'>[][] = [];
  for (let from = 0; from < statements.length; from += BATCH)
    result.push(statements.slice(from, from + BATCH).map(({ query, params }) => ({ query, params })));
  return result;
}

/** Every bucket, of every length, that the events belong to. */
function bucketsOf(events: readonly UsageEvent[]): Bucket[] {
  const found = new Map<string, Bucket>();
  for (const { provider, timestamp } of events) {
    const time = Date.parse(timestamp);
    for (const grain of GRAINS) {
      const start = floorTo(time, grain.seconds);
      found.set(`${provider} ${grain.seconds} ${start}`, { provider, grain, start });
    }
  }
  return [...found.values()];
}
